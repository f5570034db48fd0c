// What predictive maintenance knows about a room: how sure a fault is, the numbers behind it, what to do, and a
// technician's answer. The hub judges: nothing is called usual or unknown here before it has said so.

import { may, post } from "./api.js";
import { AskForm, Card, Hub, Input, Level, Said, Waiting, html, joined, useFetched, useState } from "./ui.js";
import { learn, moment, number, t } from "./words.js";

const LEVELS = { usual: "ok", likely: "warn", needed: "warn" };
const ANSWERS = ["confirmed", "nothing-found", "serviced"];

// Neither impossible nor certain: a probability is neither.
const percent = (confidence) => t("value.percent", { value: number(Math.min(99, Math.max(1, 100 * confidence)), 0) });

function Answer({ answer, send, close }) {
  const note = useState("");
  return html`<${AskForm} title=${t(`maintenance.${answer}`)} close=${close} send=${() => send({ answer, note: note[0] })}>
    <p>${t(answer === "serviced" ? "maintenance.restarts" : "maintenance.ends")}</p>
    <${Input} id="note" label=${t("maintenance.note")} bind=${note} maxlength="300" />
  </${AskForm}>`;
}

function Finding({ finding, send, timezone }) {
  const [answer, setAnswer] = useState("");
  const { indicator, state, confidence, issue, since, answered } = finding;
  const sure = confidence == null ? {} : { text: t(`maintenance.${state}`, { percent: percent(confidence) }) };
  const buttons = html`<div class="buttons">${ANSWERS.map((each) => html`<button onClick=${() => setAnswer(each)}>${t(`maintenance.${each}`)}…</button>`)}</div>`;
  return html`<li class="tight">
    <div class="row"><strong class="grow"><${Hub} text=${issue || finding.name} /></strong><${Level} level=${LEVELS[state]} ...${sure} /></div>
    <${Said}>${finding.evidence}</${Said}>
    ${issue && since && html`<p class="small soft">${t("maintenance.since", { time: moment(since, timezone) })}</p>`}
    <${Said} what=${t("maintenance.action")}>${finding.action}</${Said}>
    ${answered && html`<p class="small soft">${joined(t(`maintenance.${finding.answer}`), finding.answered_by, moment(answered, timezone), finding.answer_note)}</p>`}
    ${may("service") && (issue ? buttons : html`<details><summary>${t("maintenance.answer")}</summary>${buttons}</details>`)}
    ${answer && html`<${Answer} answer=${answer} close=${() => setAnswer("")} send=${(found) => send({ indicator, ...found })} />`}
  </li>`;
}

export function Maintenance({ zone, timezone }) {
  const [report, problem, read] = useFetched("/v1/maintenance");
  learn("maintenance", report?.phrases);
  const known = report?.zones.find((each) => each.zone === zone);
  const send = async (answer) => {
    await post("/v1/maintenance/answers", { zone, ...answer });
    await read();
  };
  if (report && !known && !problem) return null; // The hub does not heat here.
  return html`<${Card} title=${t("maintenance.title")}>
    <${Said} level="fail">${problem}</${Said}><${Said} level="warn">${report?.problem}</${Said}>
    ${!report && !problem && html`<${Waiting} />`}
    <ul class="rows">${known?.findings.map((each) => html`<${Finding} key=${each.indicator} finding=${each} send=${send} timezone=${timezone} />`)}</ul>
  </${Card}>`;
}
