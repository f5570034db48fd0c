// What predictive maintenance knows about a room: how sure a fault is, the numbers and the curve behind it, what to do,
// and a technician's answer. The hub judges: nothing is called usual or unknown here before it has said so.

import { may, post } from "./api.js";
import { Chart } from "./chart.js";
import { AskForm, Card, Hub, Input, Level, Said, Waiting, html, joined, useFetched, useState } from "./ui.js";
import { learn, measured, moment, number, say, t } from "./words.js";

const LEVELS = { usual: "ok", likely: "warn", needed: "warn" };
const TONES = { measured: "temperature", expected: "heat_setpoint" };
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

// What was measured each day, beside what was to be expected: drawn, and the last day in words.
function Curve({ curve: { about, unit, times, ...values }, isOpen }) {
  const lines = Object.entries(TONES).map(([name, tone]) => ({ name: t(`maintenance.${name}`), unit, tone }));
  const [now, expected] = Object.keys(TONES).map((name) => measured(values[name].at(-1), unit));
  return html`<details open=${isOpen}><summary><${Hub} text=${about} /></summary>
    <${Chart} about=${t("maintenance.curve", { about: say(about), count: times.length, now, expected })} lines=${lines} timezone="UTC"
      report=${{ time_base: "day", times, series: Object.keys(TONES).map((name) => ({ mean: values[name] })) }} />
  </details>`;
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
    ${finding.curve?.times.length > 1 && html`<${Curve} curve=${finding.curve} isOpen=${issue !== ""} />`}
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
