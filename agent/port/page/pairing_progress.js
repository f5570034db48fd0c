// Follows a pairing in the hub's reports, from the opening of its join window to its end. Pure: no clock, no requests.
// The same rules as the command line's (agent/cli/zigbee/pairing_progress.py).

const INTERVIEW_S_MAX = 60; // Wait after the window closes, for a sensor that joined at its end.
const FIRST_READING_S_MAX = 90; // A relayed sensor counts as paired after this wait without a reading.

const SETTLED = ["registered", "relaying"];

export function beginPairing(report, { isMany, now_s }) {
  return {
    isMany,
    last: Math.max(0, ...report.steps.map((step) => step.number)),
    known: report.sensors.filter((sensor) => SETTLED.includes(sensor.stage)).map((sensor) => sensor.device),
    steps: [],
    lastStep_s: now_s,
    wasOpen: false,
  };
}

// The progress after the next report.
export function advancePairing(before, report, now_s) {
  const news = report.steps.filter((step) => step.number > before.last);
  const isOpen = report.radio.join_window_left_s !== null;
  return {
    ...before,
    last: Math.max(before.last, ...news.map((step) => step.number)),
    steps: [...before.steps, ...news],
    lastStep_s: news.length || isOpen ? now_s : before.lastStep_s,
    wasOpen: before.wasOpen || isOpen || news.length > 0,
  };
}

// The devices that have joined since the beginning: {all, routers, guests, sensor}.
export function joinedDevices(progress, report) {
  const all = [...new Set(progress.steps.filter((step) => step.what === "joined").map((step) => step.device))];
  const routers = all.filter((device) => report.routers.some((router) => router.device === device));
  const guests = all.filter((device) => report.others.some((other) => other.device === device && other.is_interviewed));
  const sensor = all.find((device) => ![...progress.known, ...routers, ...guests].includes(device)) ?? "";
  return { all, routers, guests, sensor };
}

function seenOf(progress, device) {
  let seen = new Set();
  for (const step of progress.steps.filter((each) => each.device === device)) {
    seen.add(step.what);
    if (step.what === "keyed" || step.what === "joined") seen = new Set([...seen].filter((what) => what !== "waits" && what !== "refused"));
  }
  return seen;
}

// How the pairing ended: done, relaying, needs_key, refused, nobody, router, guest or unfinished; nothing while it goes on.
export function endOfPairing(progress, report, now_s) {
  const joined = joinedDevices(progress, report);
  const isOpen = report.radio.join_window_left_s !== null;
  const quiet_s = now_s - progress.lastStep_s;
  if (progress.isMany) {
    const isBusy = report.sensors.some((sensor) => joined.all.includes(sensor.device) && ["joined", "keyed"].includes(sensor.stage));
    if (isOpen || !progress.wasOpen || (isBusy && quiet_s < INTERVIEW_S_MAX)) return "";
    return joined.all.length ? "done" : "nobody";
  }
  const seen = joined.sensor ? seenOf(progress, joined.sensor) : new Set();
  for (const [what, end] of [["accepted", "done"], ["refused", "refused"], ["waits", "needs_key"]]) {
    if (seen.has(what)) return end;
  }
  if (isOpen || !progress.wasOpen) return "";
  if (!joined.sensor) return joined.guests.length ? "guest" : joined.routers.length ? "router" : "nobody";
  if (seen.has("relaying")) return quiet_s >= FIRST_READING_S_MAX ? "relaying" : "";
  return quiet_s >= INTERVIEW_S_MAX ? "unfinished" : "";
}
