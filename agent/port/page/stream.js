// The one stream of events from the hub. Runs in a SharedWorker for all tabs, or in the tab that leads (live.js).
// Says honestly whether the hub answers. Must never hold a document longer than it takes to pass it on.

const EVENTS = ["status", "climate", "zigbee", "update", "verdict", "log", "audit", "resync"];
const ASK_MS = 15_000; // A dead link shows no error by itself for minutes.
const ANSWER_MS_MAX = 6_000;
const AGAIN_MS = 5_000;

// Open the stream. `tell` receives {kind: "event", name, data} and
// {kind: "answer", isAnswering, isOpen}. Returns its end.
export function openStream(tell) {
  let source = null;
  let again = 0;
  let isAnswering = null;

  function answered(next) {
    isAnswering = next;
    tell({ kind: "answer", isAnswering: next, isOpen: source.readyState === EventSource.OPEN });
  }

  function connect() {
    source = new EventSource("/v1/events");
    source.onopen = () => answered(true);
    source.onerror = () => {
      // The browser tries again by itself, unless the hub refused: signed out, or too many streams.
      if (source.readyState === EventSource.CLOSED) again = setTimeout(connect, AGAIN_MS);
      void check();
    };
    for (const name of EVENTS) {
      source.addEventListener(name, (event) => tell({ kind: "event", name, data: JSON.parse(event.data) }));
    }
  }

  async function check() {
    try {
      await fetch("/healthz", { cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS_MAX) });
      answered(true);
    } catch {
      const wasAnswering = isAnswering;
      answered(false);
      if (wasAnswering === false) return;
      // A stream over a dead link never ends by itself.
      source.close();
      clearTimeout(again);
      again = setTimeout(connect, AGAIN_MS);
    }
  }

  connect();
  const timer = setInterval(check, ASK_MS);
  return () => {
    clearInterval(timer);
    clearTimeout(again);
    source.close();
  };
}

// As a SharedWorker: the stream is open while a tab is; a tab that closed without a word goes when it misses its beat.
if (typeof SharedWorkerGlobalScope !== "undefined" && globalThis instanceof SharedWorkerGlobalScope) {
  const BEAT_MS_MAX = 90_000; // Hidden tabs may run their timers once a minute.
  const tabs = new Map();
  let close = null;

  const tell = (message) => {
    for (const [port, beatMs] of tabs) {
      if (performance.now() - beatMs > BEAT_MS_MAX) tabs.delete(port);
      else port.postMessage(message);
    }
    if (tabs.size === 0) stop();
  };
  const stop = () => {
    close?.();
    close = null;
  };

  globalThis.onconnect = ({ ports: [port] }) => {
    port.onmessage = ({ data }) => {
      if (data === "gone") tabs.delete(port);
      else tabs.set(port, performance.now());
      if (tabs.size === 0) stop();
      else close ??= openStream(tell);
    };
  };
}
