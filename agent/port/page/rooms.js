// Rooms: temperature, setpoint, what each does and why; hold, boost, away, eco and mode. Decides nothing: the hub does.

import { may, post } from "./api.js";
import { refresh, useDocuments, useTick } from "./live.js";
import { Act, Dialog, Field, Form, Head, Note, Said, Waiting, html, useAction, useState } from "./ui.js";
import { degrees, duration, moment, number, t, word } from "./words.js";

const STEP_C = 0.5;
const C_MIN = 4;
const C_MAX = 35;
const HOUR_S = 3600;
const MODES = ["heat", "cool", "auto", "off"];

// Holds of the page have one id for each kind: a second one takes the first one's place.
const holdId = (kind) => `page-${kind}`;

export async function change(zone, request) {
  await post(`/v1/climate/${encodeURIComponent(zone)}`, request);
  await refresh("climate");
}

export function nameOf(zone) {
  return zone.zone.replaceAll("_", " ").replace(/^./, (first) => first.toUpperCase());
}

const DOING = { heat: "heating", cool: "cooling" };

export function Doing({ zone }) {
  const doing = DOING[zone.action] ?? "";
  return html`<span class="tag ${doing}">${t(`action.${zone.action}`)}</span>`;
}

function setpointText(zone) {
  if (zone.mode === "off") return t("rooms.off");
  if (zone.mode === "auto") return t("rooms.between", { low: degrees(zone.heat_setpoint_c), high: degrees(zone.cool_setpoint_c) });
  return t("rooms.to", { value: degrees(zone.mode === "cool" ? zone.cool_setpoint_c : zone.heat_setpoint_c) });
}

export function RoomTile({ zone }) {
  const problem = zone.problem || zone.sensor_problem;
  return html`<a class="tile tight" href="#/rooms/${encodeURIComponent(zone.zone)}">
    <h3>${nameOf(zone)}</h3>
    <div class="row"><span class="big">${degrees(zone.room_c)}</span><span class="end"><${Doing} zone=${zone} /></span></div>
    <p class="soft">${setpointText(zone)}</p>
    ${problem && html`<p class="small toned warn" lang="en">${problem}</p>`}
  </a>`;
}

function Stepper({ label, value, set, disabled }) {
  const step = (by) => set(Math.min(C_MAX, Math.max(C_MIN, value + by)));
  return html`<div role="group" aria-label=${label}>
    <span class="soft">${label}</span>
    <div class="stepper">
      <button type="button" disabled=${disabled} aria-label=${t("rooms.colder")} onClick=${() => step(-STEP_C)}>−</button>
      <output aria-live="polite">${degrees(value)}</output>
      <button type="button" disabled=${disabled} aria-label=${t("rooms.warmer")} onClick=${() => step(STEP_C)}>+</button>
    </div>
  </div>`;
}

// Another setpoint becomes a hold only when its end has been chosen.
function Setpoint({ zone }) {
  const inForce = { heat: zone.heat_setpoint_c, cool: zone.cool_setpoint_c };
  const [draft, setDraft] = useState(null);
  const shown = draft ?? inForce;
  const sides = { heat: ["heat"], cool: ["cool"], auto: ["heat", "cool"] }[zone.mode] ?? [];
  if (sides.length === 0) return null;
  const hold = async (end) => {
    const setpoints = Object.fromEntries(sides.map((side) => [`${side}_setpoint_c`, shown[side]]));
    await change(zone.zone, { do: "hold", id: holdId("hold"), ...setpoints, ...end });
    setDraft(null);
  };
  const ends = [
    [t("hold.hours", { count: 2 }), { for_s: 2 * HOUR_S }],
    ...(zone.schedule ? [[t("hold.next"), { until: "next" }]] : []),
    [t("hold.changed"), {}],
  ];
  return html`<div class="stack">
    ${sides.map((side) => html`<${Stepper} label=${t(`rooms.setpoint_${side}`)} value=${shown[side]} disabled=${!may("service")}
      set=${(value) => setDraft({ ...shown, [side]: value })} />`)}
    ${draft && html`<div class="note unknown tight">
      <p>${t("hold.how_long")}</p>
      <div class="buttons">
        ${ends.map(([label, end]) => html`<${Act} role="service" kind="main" label=${label} act=${() => hold(end)} />`)}
        <button type="button" onClick=${() => setDraft(null)}>${t("act.cancel")}</button>
      </div>
    </div>`}
  </div>`;
}

function Away({ zone, close }) {
  const [until, setUntil] = useState("");
  const [heat_c, setHeat] = useState(16);
  return html`<${Dialog} title=${t("away.title")} close=${close}>
    <${Form} label=${t("away.send")} send=${async () => {
      await change(zone.zone, { do: "hold", kind: "away", id: holdId("away"), heat_setpoint_c: heat_c, ...(until && { until }) });
      close();
    }}>
      <${Stepper} label=${t("rooms.setpoint_heat")} value=${heat_c} set=${setHeat} />
      <${Field} id="until" label=${t("away.until")} hint=${t("away.until_hint")}>
        <input id="until" type="datetime-local" value=${until} onInput=${(event) => setUntil(event.target.value)} aria-describedby="until-hint" />
      </${Field}>
    </${Form}>
    <button type="button" onClick=${close}>${t("act.cancel")}</button>
  </${Dialog}>`;
}

function Actions({ zone }) {
  const [isLeaving, setLeaving] = useState(false);
  const send = (request) => () => change(zone.zone, request);
  if (!may("service")) return html`<p class="soft">${t("rooms.look_only")}</p>`;
  return html`<div class="buttons">
    <${Act} role="service" label=${t("boost.title")} act=${send({ do: "hold", kind: "boost", id: holdId("boost"), for_s: HOUR_S })} />
    <button type="button" onClick=${() => setLeaving(true)}>${t("away.title")}…</button>
    <${Act} role="service" label=${zone.is_eco ? t("eco.end") : t("eco.begin")} act=${send({ do: "eco", is_enabled: !zone.is_eco })} />
    ${zone.holds.length > 0 && html`<${Act} role="service" label=${t("hold.resume")} act=${send({ do: "resume" })} />`}
    ${isLeaving && html`<${Away} zone=${zone} close=${() => setLeaving(false)} />`}
  </div>`;
}

function Mode({ zone }) {
  const [choose, isBusy, problem] = useAction((mode) => change(zone.zone, { do: "set", mode }));
  return html`<div class="tight">
    <h3 id="mode">${t("mode.title")}</h3>
    <div class="segments" role="group" aria-labelledby="mode">
      ${MODES.map((mode) => html`<button type="button" aria-pressed=${zone.mode === mode} disabled=${isBusy || !may("service")}
        onClick=${() => choose(mode)}>${t(`mode.${mode}`)}</button>`)}
    </div>
    ${problem && html`<p role="alert" class="small toned fail">${problem}</p>`}
  </div>`;
}

function Holds({ zone, timezone }) {
  if (zone.holds.length === 0) return null;
  const end = (hold) => {
    if (hold.left_s != null) return t("hold.left", { time: duration(hold.left_s) });
    if (hold.end) return t("hold.until", { time: moment(hold.end, timezone) });
    return t(`hold.ends_${hold.until}`);
  };
  return html`<div><h3>${t("hold.title")}</h3><ul class="rows">
    ${zone.holds.map((hold) => html`<li class="row" key=${hold.id}>
      <span><strong>${t(`hold.kind_${hold.kind}`)}</strong> ${hold.heat_setpoint_c != null && degrees(hold.heat_setpoint_c)}
        <span class="soft"> ${end(hold)}</span></span>
      <span class="end"><${Act} role="service" label=${t("hold.cancel")} act=${() => change(zone.zone, { do: "cancel", id: hold.id })} /></span>
    </li>`)}
  </ul></div>`;
}

function Why({ zone }) {
  const facts = [
    [t("rooms.duty"), t("value.percent", { value: number(zone.duty * 100, 0) })],
    [t("rooms.setpoint_from"), html`<${Said}>${zone.setpoint_text}</${Said}>`],
    [t("rooms.sensors_used"), number(zone.sensors_used, 0)],
    [t("rooms.rate"), t("rooms.k_per_h", { value: number(zone.rate_k_per_h) })],
    [t("rooms.loss"), t("rooms.k_per_h", { value: number(zone.loss_k_per_h) })],
  ];
  return html`<section class="card stack" aria-labelledby="why">
    <h2 id="why">${t("rooms.why")}</h2>
    <p><${Said}>${zone.reason}</${Said}></p>
    <dl class="facts">${facts.map(([name, value]) => html`<dt>${name}</dt><dd class="number">${value}</dd>`)}</dl>
  </section>`;
}

function Room({ zone, timezone }) {
  const problem = zone.problem || zone.sensor_problem;
  const name = encodeURIComponent(zone.zone);
  return html`<div class="stack">
    <${Head} title=${nameOf(zone)} back="#/rooms" backTitle=${t("rooms.title")} />
    ${problem && html`<${Note} level="warn"><${Said}>${problem}</${Said}></${Note}>`}
    <div class="columns">
      <section class="card stack" aria-label=${t("rooms.now")}>
        <div class="row"><span class="big">${degrees(zone.room_c)}</span><span class="end"><${Doing} zone=${zone} /></span></div>
        <${Setpoint} key=${zone.mode} zone=${zone} />
        <${Actions} zone=${zone} />
        <${Holds} zone=${zone} timezone=${timezone} />
      </section>
      <div class="stack">
        <${Why} zone=${zone} />
        <section class="card stack" aria-label=${t("week.title")}>
          <${Mode} zone=${zone} />
          <h3>${t("week.title")}</h3>
          <p>${zone.schedule ? t("week.follows", { name: zone.schedule }) : t("week.none")}</p>
          <a class="button" href="#/week/${name}">${t("week.open")}</a>
        </section>
      </div>
    </div>
  </div>`;
}

export default function Rooms({ parts }) {
  const { climate } = useDocuments();
  useTick(10_000);
  if (!climate) return html`<${Waiting} />`;
  const zone = climate.zones.find((each) => each.zone === parts[0]);
  if (zone) return html`<${Room} key=${zone.zone} zone=${zone} timezone=${climate.timezone} />`;
  return html`<div class="stack">
    <${Head} title=${t("rooms.title")} />
    ${climate.zones.length === 0 && html`<p>${t("rooms.no_zones")}</p>`}
    <div class="tiles">${climate.zones.map((each) => html`<${RoomTile} key=${each.zone} zone=${each} />`)}</div>
    ${climate.heat_source && html`<p class="soft">${t("rooms.source")} <span class="tag ${DOING[climate.heat_source.action] ?? ""}">${t(`action.${climate.heat_source.action}`)}</span></p>`}
  </div>`;
}
