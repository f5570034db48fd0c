// The hub's documents as they are now, for every view: read once, then kept by the shared stream of events.
// Owns when each was received, so that ages go on counting and a silent hub is told. Must never change a document.

import { useEffect, useReducer, useState } from "./vendor/hooks.mjs";
import { get } from "./api.js";
import { learn } from "./words.js";

const DOCUMENTS = ["status", "climate", "zigbee", "update", "verdict"];
const READ_MS = 15_000; // While there is no stream: too many listen, or the session has ended.
const BEAT_MS = 20_000;

const documents = {};
const receivedMs = {};
const listeners = new Set();
const hearers = new Map(); // Of events that are no documents: log and audit.
let isAnswering = true;
let answeredMs = performance.now();
let isStreaming = false;

function changed() {
  for (const listener of listeners) listener();
}

function keep(name, value) {
  // The hub was updated: its page is another one now.
  if (name === "status" && documents.status && documents.status.version !== value.version) location.reload();
  documents[name] = value;
  if (value.phrases) learn(name, value.phrases);
  receivedMs[name] = performance.now();
  answeredMs = performance.now();
  changed();
}

// Read a document again, such as after a change. One that this hub does not have stays away.
export async function refresh(...names) {
  const read = async (name) => {
    try {
      keep(name, await get(`/v1/${name}`));
      isAnswering = true;
    } catch (error) {
      if (error.status === 0) isAnswering = false;
      else if (error.status === 404) documents[name] = null;
    }
  };
  await Promise.all(names.map(read));
  changed();
}

function receive(message) {
  if (message.kind === "event") {
    isAnswering = isStreaming = true;
    if (DOCUMENTS.includes(message.name)) keep(message.name, message.data);
    // After a resync, entries of any list may be missing.
    const heard = message.name === "resync" ? [...hearers.values()] : [hearers.get(message.name) ?? []];
    for (const hear of heard.flatMap((each) => [...each])) hear(message.data);
    return;
  }
  isStreaming = message.isOpen;
  if (message.isAnswering) answeredMs = performance.now();
  // The hub answers and gives no stream: the session may have ended.
  if (message.isAnswering && !isStreaming) void refresh("verdict");
  const isBack = message.isAnswering && !isAnswering;
  isAnswering = message.isAnswering;
  if (isBack) void refresh(...DOCUMENTS);
  changed();
}

function share() {
  if (typeof SharedWorker === "undefined") {
    const joining = import("./leader.js").then(({ joinTabs }) => joinTabs(receive));
    return () => void joining.then((leave) => leave());
  }
  const { port } = new SharedWorker(new URL("stream.js", import.meta.url), { type: "module", name: "climahub" });
  port.onmessage = ({ data }) => receive(data);
  port.postMessage("here");
  const timer = setInterval(() => port.postMessage("here"), BEAT_MS);
  return () => {
    clearInterval(timer);
    port.postMessage("gone");
  };
}

// Read everything and stay informed. Returns its end.
export function start() {
  void refresh(...DOCUMENTS.filter((name) => documents[name] === undefined));
  const leave = share();
  const timer = setInterval(() => isStreaming || document.hidden || refresh(...DOCUMENTS.filter((name) => documents[name] !== null)), READ_MS);
  window.addEventListener("pagehide", leave);
  // A page that the browser had frozen comes back without its stream.
  window.addEventListener("pageshow", (event) => event.persisted && location.reload());
  return () => {
    clearInterval(timer);
    window.removeEventListener("pagehide", leave);
    leave();
    for (const name of DOCUMENTS) delete documents[name];
  };
}

// The documents by name: undefined before the first answer, null where this hub has none.
export function useDocuments() {
  const [, redraw] = useReducer((count) => count + 1, 0);
  useEffect(() => {
    listeners.add(redraw);
    return () => listeners.delete(redraw);
  }, []);
  return documents;
}

export function useEvents(name, hear) {
  useEffect(() => {
    if (!hearers.has(name)) hearers.set(name, new Set());
    hearers.get(name).add(hear);
    return () => hearers.get(name).delete(hear);
  }, [name, hear]);
}

// Whether the hub answers, and the seconds since it last did.
export function connection() {
  return { isAnswering, silent_s: (performance.now() - answeredMs) / 1000 };
}

// An age as it is now: the document's, and the time since the document came.
export function ageNow(name, age_s) {
  return age_s == null ? null : age_s + (performance.now() - (receivedMs[name] ?? performance.now())) / 1000;
}

// Redraws at an interval, for ages.
export function useTick(interval_ms = 5_000) {
  const [tick, setTick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setTick((count) => count + 1), interval_ms);
    return () => clearInterval(timer);
  }, [interval_ms]);
  return tick;
}
