// The first view: the verdict in words, what to do, and tiles that lead deeper.

import { ask } from "./api.js";
import { refresh, useDocuments, useTick } from "./live.js";
import { RoomTile } from "./rooms.js";
import { Act, Level, Waiting, html, levelOf } from "./ui.js";
import { t, tn } from "./words.js";

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
      <p lang="en">${first}</p>
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

export default function Home() {
  const { climate, verdict } = useDocuments();
  useTick();
  return html`<div class="stack">
    <h1 class="hidden" tabindex="-1">${t("home.title")}</h1>
    <${Verdict} verdict=${verdict} />
    ${climate?.zones.length > 0 && html`<section class="stack" aria-labelledby="rooms">
      <h2 id="rooms">${t("rooms.title")}</h2>
      <div class="tiles">${climate.zones.map((zone) => html`<${RoomTile} key=${zone.zone} zone=${zone} />`)}</div>
    </section>`}
  </div>`;
}
