// The pairing wizard: the label (typed, pasted or photographed), the join window, live steps, then name and key.
// The hub decides what a label is and when a sensor is paired. Must never keep a key after it was sent.

import { may, post } from "./api.js";
import { refresh, useTick } from "./live.js";
import { advancePairing, beginPairing, endOfPairing, joinedDevices } from "./pairing_progress.js";
import { Act, Check, Form, Head, Input, Level, Note, Said, html, useEffect, useState } from "./ui.js";
import { ago, duration, t, word } from "./words.js";

const WINDOW_S = 254;
const LEVELS = { done: "ok", relaying: "ok", needs_key: "warn", router: "warn", guest: "warn" };
const TROUBLES = ["failed", "left", "refused", "waits"];

const now_s = () => performance.now() / 1000;

function Photo({ take }) {
  const [said, setSaid] = useState("");
  const read = async ({ target }) => {
    if (!target.files[0]) return;
    setSaid(t("pair.photo_reading"));
    try {
      take(await (await import("./qr.js")).readCode(target.files[0]));
      setSaid(t("pair.photo_read"));
    } catch {
      setSaid(t("pair.photo_failed"));
    }
    target.value = "";
  };
  return html`<div class="tight"><label for="photo">${t("pair.photo")}</label>
    <input id="photo" type="file" accept="image/*" capture="environment" onChange=${read} />
    <p role="status" class="hint">${said}</p></div>`;
}

function Begin({ replaces, begin }) {
  const [asked, setAsked] = useState({ label: "", name: "", key: "", is_many: false });
  const bind = (name) => [asked[name], (value) => setAsked({ ...asked, [name]: value })];
  return html`<${Form} label=${t("pair.begin")} send=${() => begin(asked)}>
    <${Input} id="label" kind="textarea" rows="2" maxlength="500" label=${t("pair.label")} hint=${t("pair.label_hint")} bind=${bind("label")} />
    <${Photo} take=${bind("label")[1]} />
    ${!replaces && html`<${Input} id="name" maxlength="64" label=${t("pair.name")} bind=${bind("name")} />
      <details><summary>${t("pair.more")}</summary><div class="stack below">
        <${Input} id="key" type="password" maxlength="256" label=${t("zigbee.key")} hint=${t("pair.key_hint")} bind=${bind("key")} />
        <${Check} label=${t("pair.many")} bind=${bind("is_many")} />
      </div></details>`}
  </${Form}>`;
}

// What the paired sensor still needs: its key, then a name.
function Finish({ sensor, end }) {
  const key = useState("");
  const name = useState("");
  const send = (field, [value, set]) => async () => {
    await post(`/v1/zigbee/sensors/${encodeURIComponent(sensor.device)}/${field}`, { [field]: value });
    set("");
    await refresh("zigbee", "status");
  };
  return html`${(end === "needs_key" || end === "refused") && html`<${Form} label=${t("zigbee.give_key")} send=${send("key", key)}>
      <${Input} id="sensor-key" type="password" required maxlength="256" label=${t("pair.key_of", { name: sensor.name })} hint=${t("zigbee.key_hint")} bind=${key} />
    </${Form}>`}
    <${Form} kind="" label=${t("zigbee.rename")} send=${send("name", name)}>
      <${Input} id="sensor-name" required maxlength="64" label=${t("pair.name_of", { name: sensor.name })} bind=${name} />
    </${Form}>`;
}

function Running({ zigbee, progress, stop }) {
  const left_s = zigbee.radio.join_window_left_s;
  const end = endOfPairing(progress, zigbee, now_s());
  const joined = joinedDevices(progress, zigbee);
  const sensor = zigbee.sensors.find((each) => each.device === joined.sensor);
  const level = LEVELS[end] ?? "fail";
  // The last step that went wrong: with the end's own words it says what failed, and what to do.
  const trouble = level !== "ok" && progress.steps.filter(({ what, device }) => device === joined.sensor && TROUBLES.includes(what)).at(-1);
  const nameOf = (device) => zigbee.sensors.find((each) => each.device === device)?.name ?? device;
  return html`<div class="stack">
    <div aria-live="polite">${end
      ? html`<${Note} level=${level}><${Level} level=${level} text=${t(`pair.end_${end}`)} />
        ${trouble && html`<p>${word("step", trouble.what)} <span lang="en">${trouble.detail}</span></p>`}<p>${t(`pair.next_${end}`)}</p></${Note}>`
      : html`<p class="lead">${t(joined.all.length ? "pair.wait" : "pair.press")}</p>`}</div>
    ${left_s !== null && html`<div class="tight"><p class="soft">${t("pair.open_for", { time: duration(left_s) })}</p><progress max=${WINDOW_S} value=${left_s} aria-label=${t("pair.window")}></progress></div>`}
    <ol class="rows" aria-live="polite" aria-label=${t("pair.steps")}>${progress.steps.map((step) => html`<li class="row" key=${step.number}>
      <span class="grow">${step.device && html`<strong>${nameOf(step.device)}</strong> `}${word("step", step.what)} ${step.detail && html`<small class="soft" lang="en">${step.detail}</small>`}</span>
      <span class="soft small">${ago(step.age_s)}</span>
    </li>`)}</ol>
    ${sensor && html`<${Finish} sensor=${sensor} end=${end} />`}
    <div class="buttons">
      ${left_s !== null && html`<${Act} role="service" label=${t("pair.close")} act=${async () => { await post("/v1/zigbee/join-window/close"); await refresh("zigbee"); }} />`}
      ${end && html`<button class=${level === "fail" ? "main" : ""} onClick=${stop}>${t(level === "fail" ? "pair.again" : "pair.another")}</button>
        <a class="button ${level === "ok" ? "main" : ""}" href="#/zigbee">${t("pair.finish")}</a>`}
    </div>
  </div>`;
}

export function Pairing({ zigbee, replaces }) {
  const [progress, setProgress] = useState(null);
  useTick(1000);
  useEffect(() => setProgress((before) => before && advancePairing(before, zigbee, now_s())), [zigbee]);
  const begin = async ({ key, ...asked }) => {
    const before = beginPairing(zigbee, { isMany: asked.is_many, now_s: now_s() });
    await post("/v1/zigbee/join-window", { ...asked, ...(key && { key }), seconds: WINDOW_S, ...(replaces && { replaces }) });
    setProgress(before);
    await refresh("zigbee");
  };
  const old = zigbee.sensors.find((sensor) => sensor.device === replaces);
  return html`<div class="stack narrow">
    <${Head} title=${replaces ? t("pair.replace", { name: old?.name ?? replaces }) : t("pair.title")} back="#/zigbee" backTitle=${t("zigbee.title")} />
    ${zigbee.radio.state !== "up" && html`<${Note} level="warn">${t("pair.no_radio")} <${Said}>${zigbee.radio.problem}</${Said}></${Note}>`}
    ${!may("service")
      ? html`<p>${t("rooms.look_only")}</p>`
      : progress
        ? html`<${Running} zigbee=${zigbee} progress=${progress} stop=${() => setProgress(null)} />`
        : html`<${Begin} replaces=${replaces} begin=${begin} />`}
  </div>`;
}
