// The first view: the verdict in words, what to do, and tiles that lead deeper.

import { ask, may } from "./api.js";
import { refresh, useDocuments, useTick } from "./live.js";
import { Doing, RoomTile, linkSummary, outboxSummary, sensorsSummary, updateSummary, zigbeeSummary } from "./tiles.js";
import { Act, Hub, Level, Said, Waiting, html, levelOf, useEffect, useState } from "./ui.js";
import { langOf, say, t } from "./words.js";

const LINE_CHARACTERS = 100; // A longer sentence is not set in large type.

async function carryOut(action) {
  await ask(action.method, action.path);
  await refresh("verdict", "status", "update");
}

function Problem({ problem }) {
  return html`<li class="tight">
    <div class="row"><${Level} level=${problem.level} /><${Hub} text=${problem.what} /></div>
    <div class="soft"><${Said}>${problem.advice}</${Said}></div>
  </li>`;
}

function Verdict({ verdict }) {
  if (verdict === undefined) return html`<${Waiting} />`;
  if (verdict === null) return null;
  const level = levelOf(verdict.level);
  const sentences = verdict.sentences.map(say);
  // A sentence may have parts that stay English.
  const lang = verdict.sentences.some(langOf) ? "en" : null;
  // Where all is well the level says so itself, and the rest belongs together.
  const [first, ...more] = level === "ok" ? [sentences.slice(1).join(" ")] : sentences;
  return html`<section class="stack" aria-label=${t("home.verdict")}>
    <div class="verdict ${level}" role="status" aria-live="polite">
      <${Level} level=${level} text=${t(`verdict.${level}`)} />
      <p class=${level === "ok" || first.length > LINE_CHARACTERS ? "long" : ""} lang=${lang}>${first}</p>
      ${more.length > 0 && html`<p lang=${lang}>${more.join(" ")}</p>`}
    </div>
    ${verdict.actions.length > 0 && html`<div class="buttons">
      ${verdict.actions.map((action) => html`<${Act} key=${action.path} kind="main" lang=${langOf(action.title)} role=${action.role} label=${say(action.title)} act=${() => carryOut(action)} />`)}
    </div>`}
    ${verdict.problems.length > 0 && html`<details>
      <summary>${t("home.problems", { count: verdict.problems.length })}</summary>
      <ul class="rows">${verdict.problems.map((problem) => html`<${Problem} problem=${problem} />`)}</ul>
    </details>`}
  </section>`;
}

// Nothing is red while the verdict is amber: red says that the house goes without, or waits for a person.
const toned = (level, verdict) => (level === "fail" && verdict?.level === "attention" ? "warn" : level);

function Tile({ name, title, summary, verdict, children }) {
  return html`<a class="tile tight" href="#/${name}"><h3>${title}</h3>
    ${summary && html`<p class="row"><${Level} level=${toned(summary.level, verdict)} text="" /><span class="grow" lang=${summary.lang}>${summary.text}</span></p>`}${children}
  </a>`;
}

// The parts of the hub. One that this hub does not have is not shown.
function Parts({ status, zigbee, update, verdict }) {
  if (!status) return null;
  const tile = (name, title, summary) => html`<${Tile} name=${name} title=${title} summary=${summary} verdict=${verdict} />`;
  return html`<section class="stack" aria-labelledby="parts">
    <h2 id="parts">${t("home.parts")}</h2>
    <div class="tiles">
      ${tile("sensors", t("sensors.title"), sensorsSummary(status, zigbee))}
      ${zigbee && zigbee.radio.state !== "none" && tile("zigbee", t("zigbee.title"), zigbeeSummary(zigbee))}
      ${tile("cloud", t("cloud.title"), linkSummary(status))}
      ${tile("outbox", t("outbox.title"), outboxSummary(status))}
      ${update && tile("updates", t("updates.title"), updateSummary(update))}
      <${Tile} name="checks" title=${t("checks.title")}><p class="soft">${t("checks.about")}</p></${Tile}>
      <${Tile} name="tests" title=${t("tests.title")}><p class="soft">${t("tests.tile")}</p></${Tile}>
      <${Tile} name="settings" title=${t("settings.title")}><p class="soft">${t("settings.about")}</p></${Tile}>
      ${may("service") && html`<${Tile} name="integrations" title=${t("apis.title")}><p class="soft">${t("apis.about")}</p></${Tile}>`}
      ${may("service") && html`<${Tile} name="access" title=${t("access.title")}><p class="soft">${t("access.about")}</p></${Tile}>`}
      ${may("service") && html`<a class="tile tight" href="/v1/support-bundle" download><h3>${t("bundle.title")}</h3><p class="soft">${t("bundle.about")}</p></a>`}
      <${Tile} name="log" title=${t("log.title")}><p class="soft">${t("log.about")}</p></${Tile}>
    </div>
  </section>`;
}

export default function Home() {
  const { status, climate, zigbee, update, verdict } = useDocuments();
  const [Trial, setTrial] = useState(null);
  useTick();
  // After the first paint: there is a change on trial once in a while.
  useEffect(() => {
    if (may("owner")) void import("./settings.js").then((module) => setTrial(() => module.ConfigTrial));
  }, []);
  return html`<div class="stack">
    <h1 class="hidden" tabindex="-1">${t("home.title")}</h1>
    ${Trial && html`<${Trial} />`}
    <${Verdict} verdict=${verdict} />
    ${climate?.zones.length > 0 && html`<section class="stack" aria-labelledby="rooms">
      <div class="row"><h2 id="rooms" class="grow">${t("rooms.title")}</h2>
        ${climate.heat_source && html`<span>${t("rooms.source")} <${Doing} action=${climate.heat_source.action} /></span>`}</div>
      <div class="tiles">${climate.zones.map((zone) => html`<${RoomTile} key=${zone.zone} zone=${zone} />`)}</div>
    </section>`}
    <${Parts} status=${status} zigbee=${zigbee} update=${update} verdict=${verdict} />
  </div>`;
}
