// The first view: the verdict in words, what to do, and tiles that lead deeper.

import { ask, may } from "./api.js";
import { refresh, useDocuments, useTick } from "./live.js";
import { linkSummary, outboxSummary } from "./cloud.js";
import { Doing, RoomTile } from "./rooms.js";
import { sensorsSummary } from "./sensors.js";
import { ConfigTrial } from "./settings.js";
import { Act, Level, Waiting, html, levelOf } from "./ui.js";
import { updateSummary } from "./updates.js";
import { t, tn, word } from "./words.js";

const LINE_CHARACTERS = 100; // A longer sentence is not set in large type.

async function carryOut(action) {
  await ask(action.method, action.path);
  await refresh();
}

function Problem({ problem }) {
  return html`<li class="tight" lang="en">
    <div class="row"><${Level} level=${problem.level} /><span>${problem.what}</span></div>
    ${problem.advice && html`<p class="soft">${problem.advice}</p>`}
  </li>`;
}

function Verdict({ verdict }) {
  if (verdict === undefined) return html`<${Waiting} />`;
  if (verdict === null) return null;
  const [first, ...more] = verdict.sentences;
  const level = levelOf(verdict.level);
  return html`<section class="stack" aria-label=${t("home.verdict")}>
    <div class="verdict ${level}" role="status" aria-live="polite">
      <${Level} level=${level} text=${t(`verdict.${level}`)} />
      <p class=${first.length > LINE_CHARACTERS ? "long" : ""} lang="en">${first}</p>
      ${more.length > 0 && html`<p lang="en">${more.join(" ")}</p>`}
    </div>
    ${verdict.actions.length > 0 && html`<div class="buttons">
      ${verdict.actions.map((action) => html`<${Act} key=${action.path} kind="main" lang="en" role=${action.role} label=${action.title} act=${() => carryOut(action)} />`)}
    </div>`}
    ${verdict.problems.length > 0 && html`<details>
      <summary>${tn("home.problems", verdict.problems.length)}</summary>
      <ul class="rows">${verdict.problems.map((problem) => html`<${Problem} problem=${problem} />`)}</ul>
    </details>`}
  </section>`;
}

function Tile({ name, title, summary, children }) {
  return html`<a class="tile tight" href="#/${name}"><h3>${title}</h3>
    ${summary && html`<p class="row"><${Level} level=${summary.level} text="" /><span class="grow">${summary.text}</span></p>`}${children}
  </a>`;
}

function zigbeeSummary({ radio, sensors }) {
  if (radio.state !== "up") return { level: "fail", text: word("radio", radio.state) };
  return { level: sensors.some((each) => each.problem || each.is_online === false) ? "warn" : "ok", text: tn("zigbee.count", sensors.length) };
}

// The parts of the hub. One that this hub does not have is not shown.
function Parts({ status, zigbee, update }) {
  if (!status) return null;
  return html`<section class="stack" aria-labelledby="parts">
    <h2 id="parts">${t("home.parts")}</h2>
    <div class="tiles">
      <${Tile} name="sensors" title=${t("sensors.title")} summary=${sensorsSummary(status, zigbee)} />
      ${zigbee && zigbee.radio.state !== "none" && html`<${Tile} name="zigbee" title=${t("zigbee.title")} summary=${zigbeeSummary(zigbee)} />`}
      <${Tile} name="cloud" title=${t("cloud.title")} summary=${linkSummary(status)} />
      <${Tile} name="outbox" title=${t("outbox.title")} summary=${outboxSummary(status)} />
      ${update && html`<${Tile} name="updates" title=${t("updates.title")} summary=${updateSummary(update)} />`}
      <${Tile} name="checks" title=${t("checks.title")}><p class="soft">${t("checks.about")}</p></${Tile}>
      <${Tile} name="tests" title=${t("tests.title")}><p class="soft">${t("tests.tile")}</p></${Tile}>
      <${Tile} name="settings" title=${t("settings.title")}><p class="soft">${t("settings.about")}</p></${Tile}>
      ${may("service") && html`<${Tile} name="access" title=${t("access.title")}><p class="soft">${t("access.about")}</p></${Tile}>`}
      ${may("service") && html`<a class="tile tight" href="/v1/support-bundle" download><h3>${t("bundle.title")}</h3><p class="soft">${t("bundle.about")}</p></a>`}
      <${Tile} name="log" title=${t("log.title")}><p class="soft">${t("log.about")}</p></${Tile}>
    </div>
  </section>`;
}

export default function Home() {
  const { status, climate, zigbee, update, verdict } = useDocuments();
  useTick();
  return html`<div class="stack">
    <h1 class="hidden" tabindex="-1">${t("home.title")}</h1>
    ${may("owner") && html`<${ConfigTrial} />`}
    <${Verdict} verdict=${verdict} />
    ${climate?.zones.length > 0 && html`<section class="stack" aria-labelledby="rooms">
      <div class="row"><h2 id="rooms" class="grow">${t("rooms.title")}</h2>
        ${climate.heat_source && html`<span>${t("rooms.source")} <${Doing} action=${climate.heat_source.action} /></span>`}</div>
      <div class="tiles">${climate.zones.map((zone) => html`<${RoomTile} key=${zone.zone} zone=${zone} />`)}</div>
    </section>`}
    <${Parts} status=${status} zigbee=${zigbee} update=${update} />
  </div>`;
}
