// The Zigbee network: the radio, every member with what can be done to it, and the links as a picture.

import { get, may, post } from "./api.js";
import { ageNow, refresh, useDocuments, useTick } from "./live.js";
import { Pairing } from "./pairing.js";
import { Link } from "./sensors.js";
import { Act, AskForm, Card, Facts, Head, Input, Level, Note, Said, Waiting, html, saveFile, useState } from "./ui.js";
import { ago, measured, t, word } from "./words.js";

const SIZE = 400;
const MIDDLE = SIZE / 2;
const NEAR = 62;
const FAR = 150;
const LQI_MAX = 255;
const NAME_CHARACTERS = 14;

async function act(device, action, body) {
  await post(`/v1/zigbee/sensors/${encodeURIComponent(device)}/${action}`, body);
  await refresh("zigbee", "status");
}

function levelOfMember({ problem, is_online }) {
  if (is_online === false) return "fail";
  return problem ? "warn" : is_online === null ? "unknown" : "ok";
}

function Remove({ device, name }) {
  return html`<${Act} kind="danger" role="service" label=${t("zigbee.remove")} question=${t("zigbee.remove_question", { name })} act=${() => act(device, "remove")} />`;
}

function Actions({ sensor: { device, name, stage } }) {
  const [asking, setAsking] = useState("");
  const text = useState("");
  const begin = (what, value) => () => {
    text[1](value);
    setAsking(what);
  };
  if (!may("service")) return null;
  return html`<div class="buttons">
    <button onClick=${begin("name", name)}>${t("zigbee.rename")}…</button>
    <button class=${stage === "interviewed" ? "main" : ""} onClick=${begin("key", "")}>${t("zigbee.give_key")}…</button>
    <a class="button" href="#/zigbee/replace/${device}">${t("zigbee.replace")}…</a>
    <${Remove} device=${device} name=${name} />
    ${asking && html`<${AskForm} title=${name} close=${() => setAsking("")} send=${() => act(device, asking, { [asking]: text[0] })}>
      <${Input} id="text" label=${t(`zigbee.${asking}`)} hint=${asking === "key" && t("zigbee.key_hint")} bind=${text} required maxlength="256" type=${asking === "key" ? "password" : "text"} />
    </${AskForm}>`}
  </div>`;
}

function Sensor({ sensor, isOpen }) {
  return html`<li><details open=${isOpen}>
    <summary><span class="grow">${sensor.name} <small class="soft">${word("stage", sensor.stage)}</small></span><${Level} level=${levelOfMember(sensor)} /></summary>
    <div class="stack below">
      <${Said} level="warn">${sensor.problem}</${Said}>
      <${Facts} facts=${[
        [t("zigbee.address"), sensor.device],
        [t("zigbee.about"), sensor.about],
        [t("zigbee.seen"), ago(ageNow("zigbee", sensor.last_seen_age_s))],
        [t("zigbee.cloud_id"), sensor.sensor_id],
        ...sensor.readings.map((reading) => [word("kind", reading.kind), `${measured(reading.value, reading.unit)} · ${ago(ageNow("zigbee", reading.age_s))}`]),
      ]} />
      <${Link} lqi=${sensor.lqi_last_hop} />
      ${sensor.notes.map((note) => html`<${Said}>${note}</${Said}>`)}
      <${Actions} sensor=${sensor} />
    </div>
  </details></li>`;
}

function Member({ member, what }) {
  return html`<li class="row">
    <span class="grow">${member.about || what} <small class="soft">${member.device}</small></span>
    <${Link} lqi=${member.lqi_last_hop} /><${Level} level=${levelOfMember(member)} />
    <${Remove} device=${member.device} name=${member.about || member.device} />
  </li>`;
}

function Backup() {
  const save = async () => saveFile(new Blob([JSON.stringify(await get("/v1/zigbee/backup"))]), "climahub-zigbee.json");
  return may("owner") && html`<p class="hint">${t("zigbee.backup_hint")}</p><${Act} role="owner" label=${t("zigbee.back_up")} act=${save} />`;
}

function Radio({ radio }) {
  const level = { up: "ok", starting: "warn" }[radio.state] ?? "fail";
  return html`<${Card} title=${t("zigbee.radio")} level=${{ level, text: word("radio", radio.state) }}>
    <${Said} level=${level}>${radio.problem}</${Said}>
    <${Facts} facts=${[
      [t("zigbee.port"), radio.port],
      [t("zigbee.channel"), radio.channel],
      [t("zigbee.pan"), radio.pan_id > 0 && `0x${radio.pan_id.toString(16).padStart(4, "0")}`],
    ]} />
    ${radio.steps.length > 0 && html`<details><summary>${t("zigbee.steps")}</summary><pre lang="en">${radio.steps.join("\n")}</pre></details>`}
    <${Backup} />
  </${Card}>`;
}

// The members around the hub: {device, name, lqi, isRouter, isOnline, x, y}. Pure.
export function placed({ sensors, routers, others }) {
  const members = [
    ...sensors.map(({ device, name, lqi_last_hop, is_online }) => ({ device, name, lqi: lqi_last_hop, isRouter: false, isOnline: is_online })),
    ...[...routers, ...others].map(({ device, about, lqi_last_hop, is_online }) => ({ device, name: about || device.slice(-4), lqi: lqi_last_hop, isRouter: true, isOnline: is_online })),
  ];
  return members.map((member, at) => {
    const angle = (2 * Math.PI * at) / members.length - Math.PI / 2;
    const far = NEAR + (FAR - NEAR) * (1 - (member.lqi ?? 0) / LQI_MAX);
    return { ...member, x: MIDDLE + far * Math.cos(angle), y: MIDDLE + far * Math.sin(angle) };
  });
}

// The better the last hop, the nearer to the hub. The hub knows the quality of the last hop, not the whole way, so no line
// pretends to be a route.
function NetworkMap({ zigbee }) {
  const members = placed(zigbee);
  if (members.length === 0) return null;
  return html`<section class="card stack" aria-labelledby="map">
    <h2 id="map">${t("map.title")}</h2>
    <svg class="map" viewBox="0 0 ${SIZE} ${SIZE}" role="img" aria-label=${t("map.about")}>
      <circle class="ring" cx=${MIDDLE} cy=${MIDDLE} r=${FAR} />
      ${members.map((member) => html`<line class=${member.isOnline === false ? "gone" : ""} x1=${MIDDLE} y1=${MIDDLE} x2=${member.x} y2=${member.y} />`)}
      <circle class="hub" cx=${MIDDLE} cy=${MIDDLE} r="16" />
      ${members.map((member) => html`<g class=${member.isOnline === false ? "gone" : ""}>
        ${member.isRouter
          ? html`<rect x=${member.x - 9} y=${member.y - 9} width="18" height="18" rx="3" />`
          : html`<circle class="member" cx=${member.x} cy=${member.y} r="10" />`}
        <text x=${member.x} y=${member.y + 27} text-anchor="middle">${member.name.slice(0, NAME_CHARACTERS)}</text>
      </g>`)}
    </svg>
    <p class="small soft">${t("map.hint")}</p>
  </section>`;
}

export default function Zigbee({ parts }) {
  const { zigbee } = useDocuments();
  useTick();
  if (!zigbee) return html`<${Waiting} />`;
  if (parts[0] === "pair" || parts[0] === "replace") return html`<${Pairing} zigbee=${zigbee} replaces=${parts[1] ?? ""} />`;
  const { sensors, routers, others, radio } = zigbee;
  return html`<div class="stack">
    <${Head} title=${t("zigbee.title")} />
    ${zigbee.problem && html`<${Note} level="fail"><${Said}>${zigbee.problem}</${Said}></${Note}>`}
    ${may("service") && html`<a class="button main" href="#/zigbee/pair">${t("pair.title")}</a>`}
    <div class="columns">
      <${Card} title=${t("zigbee.members")}>
        ${sensors.length + routers.length + others.length === 0 && html`<p class="soft">${t("zigbee.empty")}</p>`}
        <ul class="rows">
          ${sensors.map((sensor) => html`<${Sensor} key=${sensor.device} sensor=${sensor} isOpen=${sensor.device === parts[0]} />`)}
          ${routers.map((member) => html`<${Member} key=${member.device} member=${member} what=${t("zigbee.router")} />`)}
          ${others.map((member) => html`<${Member} key=${member.device} member=${member} what=${t("zigbee.other")} />`)}
        </ul>
      </${Card}>
      <div class="stack"><${Radio} radio=${radio} /><${NetworkMap} zigbee=${zigbee} /></div>
    </div>
  </div>`;
}
