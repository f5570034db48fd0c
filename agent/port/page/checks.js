// The hub's checks: what each found, what it means and what to do. The hub runs and judges them.

import { post } from "./api.js";
import { Act, Head, Hub, Level, Note, Said, Waiting, html, useFetched, useState } from "./ui.js";
import { langOf, learn, number, say, t } from "./words.js";

const CHECKS_S_MAX = 20;
const WORST_FIRST = ["fail", "warn", "unknown", "pass"];

// What the hub can do itself, each with what it will do.
function Repairs({ offers, repairs, repaired }) {
  const repair = ({ name, target }) => async () => repaired((await post(`/v1/repairs/${name}?${new URLSearchParams({ target })}`)).done);
  return html`<div class="buttons">${offers.map((offer) => {
    const known = repairs?.find((each) => each.name === offer.name);
    return known && html`<${Act} key=${offer.target} lang=${langOf(known.title)} kind=${known.is_destructive ? "danger" : "main"} role=${known.role}
      label=${offer.target ? `${say(known.title)}: ${offer.target}` : say(known.title)} question=${say(known.effect)} act=${repair(offer)} />`;
  })}</div>`;
}

function Check({ check, repairs, repaired }) {
  return html`<li><details>
    <summary><span class="grow"><${Hub} text=${check.title} /><br /><small class="soft"><${Hub} text=${check.fact} /></small></span><${Level} level=${check.outcome} /></summary>
    <div class="stack below"><${Said}>${check.remedy}</${Said}><${Said}>${check.meaning}</${Said}>
      <${Repairs} offers=${check.repairs} repairs=${repairs} repaired=${repaired} /></div>
  </details></li>`;
}

export default function Checks() {
  const [report, problem, read] = useFetched("/v1/checks", { timeout_s: CHECKS_S_MAX });
  const [known] = useFetched("/v1/repairs");
  const [done, setDone] = useState("");
  const repaired = (text) => {
    setDone(text);
    void read();
  };
  learn("checks", Object.assign({}, ...(report?.checks ?? []).map(({ phrases }) => phrases)));
  const found = (outcome) => report.checks.filter((check) => check.outcome === outcome);
  return html`<div class="stack">
    <${Head} title=${t("checks.title")} />
    <div class="row"><p class="grow" role="status">${report ? t("checks.took", { count: report.checks.length, time: number(report.took_s) }) : t("checks.running")}</p>
      <${Act} label=${t("checks.again")} act=${read} /></div>
    <div role="status">${done && html`<${Note} level="ok"><${Said}>${done}</${Said}></${Note}>`}</div>
    ${problem && html`<${Note} level="fail">${problem}</${Note}>`}
    ${!report && !problem && html`<${Waiting} />`}
    ${report && WORST_FIRST.filter((outcome) => found(outcome).length > 0).map((outcome) => html`<details class="card" key=${outcome} open=${outcome === "fail" || outcome === "warn"}>
      <summary><h2>${t(`checks.${outcome}`, { count: found(outcome).length })}</h2></summary>
      <ul class="rows">${found(outcome).map((check) => html`<${Check} key=${check.name} check=${check} repairs=${known?.repairs} repaired=${repaired} />`)}</ul>
    </details>`)}
  </div>`;
}
