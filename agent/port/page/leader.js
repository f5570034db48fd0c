// Where a browser has no SharedWorker: one of the tabs leads, holds the stream and passes it on by BroadcastChannel.
// The tab that claimed last leads; a leader that closes says so, and one that falls silent is replaced.

import { openStream } from "./stream.js";

const BEAT_MS = 3_000;
const SILENT_MS_MAX = 10_000;
const CLAIM_MS_MAX = 500;

export function joinTabs(tell) {
  const channel = new BroadcastChannel("climahub.stream");
  const id = `${Date.now()}.${Math.random()}`;
  let leader = "";
  let heardMs = performance.now();
  let close = null;

  const pass = (message) => {
    channel.postMessage({ from: id, message });
    tell(message);
  };
  const lead = () => {
    leader = id;
    channel.postMessage({ from: id, claim: true });
    close ??= openStream(pass);
  };
  const follow = (other) => {
    leader = other;
    heardMs = performance.now();
    close?.();
    close = null;
  };
  const claimSoon = () => setTimeout(() => leader === "" && lead(), Math.random() * CLAIM_MS_MAX);

  channel.onmessage = ({ data }) => {
    if (data.ask) {
      if (leader === id) channel.postMessage({ from: id, beat: true });
    } else if (data.gone) {
      if (data.from === leader) {
        leader = "";
        claimSoon();
      }
    } else if (data.claim || leader !== id) {
      follow(data.from);
      if (data.message) tell(data.message);
    } else {
      // Two lead after both were silent: the other one hears this claim and follows.
      channel.postMessage({ from: id, claim: true });
    }
  };
  channel.postMessage({ from: id, ask: true });
  setTimeout(() => leader === "" && lead(), CLAIM_MS_MAX);
  const timer = setInterval(() => {
    if (leader === id) channel.postMessage({ from: id, beat: true });
    else if (performance.now() - heardMs > SILENT_MS_MAX) lead();
  }, BEAT_MS);
  return () => {
    clearInterval(timer);
    close?.();
    channel.postMessage({ from: id, gone: true });
    channel.close();
  };
}
