// Where a browser has no SharedWorker: one of the tabs leads, holds the stream and passes it on by BroadcastChannel.
// The tab that claimed last leads; a leader that closes says so, and one that falls silent is replaced.

import { openStream } from "./stream.js";

const BEAT_MS = 3_000;
const SILENT_MS_MAX = 10_000;
const CLAIM_MS_MAX = 500;

export function joinTabs(tell) {
  const channel = new BroadcastChannel("climahub.stream");
  const id = Math.random();
  let leader = 0;
  let heardMs = performance.now();
  let close = null;

  const say = (what, message) => channel.postMessage({ from: id, what, message });
  const lead = () => {
    leader = id;
    say("claim");
    close ??= openStream((message) => {
      say("event", message);
      tell(message);
    });
  };
  const claimSoon = () => setTimeout(() => leader || lead(), Math.random() * CLAIM_MS_MAX);

  channel.onmessage = ({ data: { from, what, message } }) => {
    if (what === "ask") {
      if (leader === id) say("beat");
    } else if (what === "gone") {
      if (from !== leader) return;
      leader = 0;
      claimSoon();
    } else if (leader === id && what !== "claim") {
      say("claim"); // Two lead after both were silent: the other one hears this and follows.
    } else {
      leader = from;
      heardMs = performance.now();
      close?.();
      close = null;
      if (message) tell(message);
    }
  };
  say("ask");
  claimSoon();
  const timer = setInterval(() => {
    if (leader === id) say("beat");
    else if (performance.now() - heardMs > SILENT_MS_MAX) lead();
  }, BEAT_MS);
  return () => {
    clearInterval(timer);
    close?.();
    say("gone");
    channel.close();
  };
}
