// What the first view says of each part in a line: rooms as tiles, and a level with a few words for the others.
// Stands apart from the views that the tiles lead to, so that the first view loads none of them.

import { Said, html } from "./ui.js";
import { degrees, duration, t, tn, word } from "./words.js";

const DOING = { heat: "heating", cool: "cooling" };
const LINK = { up: "ok", degraded: "warn", down: "fail", key_refused: "fail", unprovisioned: "warn" };
export const UPDATE_LEVELS = { idle: "ok", completed: "ok", failed: "fail" };

export const nameOf = (zone) => zone.zone.replaceAll("_", " ").replace(/^./, (first) => first.toUpperCase());

export function Doing({ action }) {
  return html`<span class="tag ${DOING[action] ?? ""}">${t(`action.${action}`)}</span>`;
}

function setpointText(zone) {
  if (zone.mode === "off") return t("rooms.off");
  if (zone.mode === "auto") return t("rooms.between", { low: degrees(zone.heat_setpoint_c), high: degrees(zone.cool_setpoint_c) });
  return t("rooms.to", { value: degrees(zone[`${zone.mode}_setpoint_c`]) });
}

export function RoomTile({ zone }) {
  return html`<a class="tile tight" href="#/rooms/${encodeURIComponent(zone.zone)}">
    <h3>${nameOf(zone)}</h3>
    <p class="big">${degrees(zone.room_c)}</p>
    <p class="row"><span class="soft grow">${setpointText(zone)}</span><${Doing} action=${zone.action} /></p>
    <${Said} level="warn small">${zone.problem || zone.sensor_problem}</${Said}>
  </a>`;
}

export function levelOfSensor({ problem, quality }) {
  if (problem || quality === "bad") return "fail";
  return { suspect: "warn", good: "ok" }[quality] ?? "unknown";
}

function levelOfPlace(place) {
  const levels = place.sensors.map(levelOfSensor);
  if (place.link?.is_online === false || levels.includes("fail")) return "fail";
  if (place.problem || levels.includes("warn")) return "warn";
  return levels.includes("ok") ? "ok" : "unknown";
}

// What people call a device: its name, never its address where it has one. The hub itself has none.
export function placeName(device, { status, zigbee }) {
  const known = [...(zigbee?.sensors ?? []), ...(status?.relayed_sensors ?? [])].find((each) => each.device === device);
  return known?.name || device || t("sensors.hub");
}

// The sensors by the place they are at: the hub itself, then each device of the network.
export function places(status, zigbee) {
  const found = new Map();
  for (const sensor of status.sensors) {
    const { device } = sensor;
    if (!found.has(device)) {
      const link = zigbee?.sensors.find((each) => each.device === device);
      const relayed = status.relayed_sensors.find((each) => each.device === device);
      found.set(device, { device, link, name: placeName(device, { status, zigbee }), problem: link?.problem || relayed?.problem, sensors: [] });
    }
    found.get(device).sensors.push(sensor);
  }
  return [...found.values()].map((place) => ({ ...place, level: levelOfPlace(place) }));
}

// What the tile of the first view says.
export function sensorsSummary(status, zigbee) {
  const bad = places(status, zigbee).filter(({ level }) => level === "fail" || level === "warn");
  if (bad.length === 0) return { level: "ok", text: tn("sensors.count", status.sensors.length) };
  return { level: bad.some(({ level }) => level === "fail") ? "fail" : "warn", text: bad.map(({ name }) => name).join(", ") };
}

export function linkSummary({ link }) {
  return { level: LINK[link.state], text: t("cloud.for", { state: word("link", link.state), time: duration(link.since_s) }) };
}

export function outboxSummary({ outbox }) {
  return { level: outbox.problem || outbox.dropped || outbox.dead_letters ? "warn" : "ok", text: tn("outbox.waiting", outbox.pending) };
}

export function updateSummary(update) {
  if (update.warning) return { level: "warn", text: update.warning, lang: "en" };
  return { level: UPDATE_LEVELS[update.state] ?? "warn", text: `${update.version}, ${word("update_state", update.state)}` };
}

export function zigbeeSummary({ radio, sensors }) {
  if (radio.state !== "up") return { level: "fail", text: word("radio", radio.state) };
  return { level: sensors.some((each) => each.problem || each.is_online === false) ? "warn" : "ok", text: tn("zigbee.count", sensors.length) };
}
