// Rooms: temperature, setpoint, what each does and why; hold, boost, away, eco and mode. Decides nothing: the hub does.

import { may, post } from "./api.js";
import { History } from "./chart.js";
import { refresh, useDocuments, useTick } from "./live.js";
import { Maintenance } from "./maintenance.js";
import { Doing, nameOf } from "./tiles.js";
import { Act, AskForm, Card, Facts, Head, Input, Note, Said, Waiting, html, useAction, useState } from "./ui.js";
import { degrees, duration, moment, number, t } from "./words.js";

const STEP_C = 0.5;
const C_MIN = 4;
const C_MAX = 35;
const HOUR_S = 3600;
const AWAY_C = 16;
const SIDES = { heat: ["heat"], cool: ["cool"], auto: ["heat", "cool"], off: [] };

// Holds of the page have one id for each kind: a second one takes the first one's place.
const hold = (kind, rest) => ({ do: "hold", kind, id: `page-${kind}`, ...rest });

export async function change(zone, request) {
  try {
    await post(`/v1/climate/${encodeURIComponent(zone)}`, request);
  } finally {
    await refresh("climate"); // Also after an error: what the disk refuses is in force.
  }
}

export function Stepper({ label, bind: [value, set], disabled }) {
  const button = (sign, name, by) => html`<button type="button" disabled=${disabled} aria-label=${name} onClick=${() => set(Math.min(C_MAX, Math.max(C_MIN, value + by)))}>${sign}</button>`;
  return html`<div role="group" aria-label=${label}><span class="soft">${label}</span>
    <div class="stepper">${button("−", t("rooms.colder"), -STEP_C)}<output aria-live="polite">${degrees(value)}</output>${button("+", t("rooms.warmer"), STEP_C)}</div>
  </div>`;
}

// Another setpoint becomes a hold only when its end has been chosen. Eco, away and boost would keep it from counting.
function Setpoint({ zone }) {
  const [draft, setDraft] = useState(null);
  const stronger = ["away", "boost"].includes(zone.setpoint_reason) ? t(`hold.kind_${zone.setpoint_reason}`) : zone.is_eco_enabled && t("eco.title");
  const shown = { heat: zone.heat_setpoint_c, cool: zone.cool_setpoint_c, ...draft };
  const until = (end) => async () => {
    await change(zone.zone, hold("hold", { ...Object.fromEntries(SIDES[zone.mode].map((side) => [`${side}_setpoint_c`, shown[side]])), ...end }));
    setDraft(null);
  };
  return html`<div class="stack">
    ${SIDES[zone.mode].map((side) => html`<${Stepper} label=${t(`rooms.setpoint_${side}`)} disabled=${stronger || !may("service")} bind=${[shown[side], (value) => setDraft({ ...draft, [side]: value })]} />`)}
    ${stronger && SIDES[zone.mode][0] && html`<p class="hint">${t("rooms.stronger", { what: stronger })}</p>`}
    ${draft && html`<div class="note unknown tight"><p>${t("hold.how_long")}</p><div class="buttons">
      <${Act} kind="main" label=${t("hold.hours", { count: 2 })} act=${until({ for_s: 2 * HOUR_S })} />
      ${zone.schedule && html`<${Act} kind="main" label=${t("hold.next")} act=${until({ until: "next" })} />`}
      <${Act} kind="main" label=${t("hold.changed")} act=${until({})} />
      <button onClick=${() => setDraft(null)}>${t("act.cancel")}</button>
    </div></div>`}
  </div>`;
}

function Away({ zone, close }) {
  const until = useState("");
  const heat = useState(AWAY_C);
  const send = () => change(zone.zone, hold("away", { heat_setpoint_c: heat[0], ...(until[0] && { until: until[0] }) }));
  return html`<${AskForm} title=${t("away.title")} label=${t("away.send")} close=${close} send=${send}>
    <${Stepper} label=${t("rooms.setpoint_heat")} bind=${heat} />
    <${Input} id="until" type="datetime-local" label=${t("away.until")} hint=${t("away.until_hint")} bind=${until} />
  </${AskForm}>`;
}

function Actions({ zone }) {
  const [isLeaving, setLeaving] = useState(false);
  const send = (request) => () => change(zone.zone, request);
  if (!may("service")) return html`<p class="soft">${t("rooms.look_only")}</p>`;
  return html`<div class="buttons">
    ${SIDES[zone.mode].includes("heat") && html`<${Act} label=${t("boost.title")} act=${send(hold("boost", { for_s: HOUR_S }))} />`}
    ${zone.mode !== "off" && html`<button onClick=${() => setLeaving(true)}>${t("away.title")}…</button>`}
    <${Act} label=${t(zone.is_eco_enabled ? "eco.end" : "eco.begin")} act=${send({ do: "eco", is_enabled: !zone.is_eco_enabled })} />
    ${zone.holds.length > 0 && html`<${Act} label=${t("hold.resume")} act=${send({ do: "resume" })} />`}
    ${isLeaving && html`<${Away} zone=${zone} close=${() => setLeaving(false)} />`}
  </div>`;
}

function Mode({ zone }) {
  const [choose, isBusy, problem] = useAction((mode) => change(zone.zone, { do: "set", mode }));
  return html`<${Card} title=${t("mode.title")}>
    <div class="segments">${zone.modes.map((mode) => html`<button aria-pressed=${zone.mode === mode} disabled=${isBusy || !may("service")} onClick=${() => choose(mode)}>${t(`mode.${mode}`)}</button>`)}</div>
    <div role="alert" class="toned fail">${problem}</div>
  </${Card}>`;
}

function endOfHold(each, timezone) {
  if (each.left_s != null) return t("hold.left", { time: duration(each.left_s) });
  return each.end ? t("hold.until", { time: moment(each.end, timezone) }) : t(`hold.ends_${each.until}`);
}

function Holds({ zone, timezone }) {
  if (zone.holds.length === 0) return null;
  return html`<ul class="rows" aria-label=${t("hold.title")}>${zone.holds.map((each) => html`<li class="row" key=${each.id}>
    <span class="grow"><strong>${t(`hold.kind_${each.kind}`)}</strong> ${each.heat_setpoint_c != null && degrees(each.heat_setpoint_c)} <span class="soft">${endOfHold(each, timezone)}</span></span>
    <${Act} role="service" label=${t("hold.cancel")} act=${() => change(zone.zone, { do: "cancel", id: each.id })} />
  </li>`)}</ul>`;
}

function Why({ zone }) {
  return html`<${Card} title=${t("rooms.why")}>
    <${Said}>${zone.reason}</${Said}>
    <${Facts} facts=${[
      [t("rooms.duty"), t("value.percent", { value: number(zone.duty * 100, 0) })],
      [t("rooms.setpoint_from"), html`<span lang="en">${zone.setpoint_text}</span>`],
      [t("rooms.sensors_used"), number(zone.sensors_used, 0)],
      [t("rooms.rate"), t("rooms.k_per_h", { value: number(zone.rate_k_per_h) })],
    ]} />
  </${Card}>`;
}

function Room({ zone, timezone }) {
  const problem = zone.problem || zone.sensor_problem;
  return html`<div class="stack">
    <${Head} title=${nameOf(zone)} />
    ${problem && html`<${Note} level="warn"><${Said}>${problem}</${Said}></${Note}>`}
    <div class="columns">
      <div class="stack"><section class="card stack" aria-label=${t("rooms.now")}>
        <div class="row"><span class="big grow">${degrees(zone.room_c)}</span><${Doing} action=${zone.action} /></div>
        <${Setpoint} key=${[zone.mode, zone.setpoint_reason, zone.label, zone.is_eco_enabled].join()} zone=${zone} />
        <${Actions} zone=${zone} />
        <${Holds} zone=${zone} timezone=${timezone} />
      </section>
      <${Card} title=${t("week.title")}>
        <p>${zone.schedule ? t("week.follows", { name: zone.schedule }) : t("week.none")}</p>
        <a class="button" href="#/week/${encodeURIComponent(zone.zone)}">${t("week.open")}</a>
      </${Card}></div>
      <div class="stack">
        <${Why} zone=${zone} />
        <${Mode} zone=${zone} />
      </div>
    </div>
    <${Maintenance} zone=${zone.zone} timezone=${timezone} />
    <${Card} title=${t("history.title")}><${History} timezone=${timezone} lines=${["temperature", "heat_setpoint"].map((name) => ({ channel: `zone/${zone.zone}/${name}`, name: t(`history.${name}`), unit: "°C", tone: name }))} /></${Card}>
  </div>`;
}

export default function Rooms({ parts }) {
  const { climate } = useDocuments();
  useTick();
  const zone = climate?.zones.find((each) => each.zone === parts[0]);
  if (climate === undefined) return html`<${Waiting} />`;
  return zone ? html`<${Room} key=${zone.zone} zone=${zone} timezone=${climate.timezone} />` : html`<${Head} title=${t("missing.room")} />`;
}
