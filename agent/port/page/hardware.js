// Tests of the hardware with a person watching: outputs, live sensors, radio channels, and the commissioning walk.
// The hub ends a test whose lease is not renewed: closing this page ends it. Must never begin one without asking.

import { may, post } from "./api.js";
import { useDocuments } from "./live.js";
import { Doing, placeName } from "./tiles.js";
import { Act, AskForm, Card, Check, Head, Hub, Level, Note, Said, Waiting, html, useAction, useEffect, usePolled, useState } from "./ui.js";
import { ago, degrees, duration, learn, measured, number, t, word } from "./words.js";

const ON_S = 60;
const OVERRIDE = "short-cycle";
const OUTCOMES = { running: "unknown", passed: "ok", stopped: "warn", not_started: "warn", cut_short: "warn" };
const VERDICTS = { own: "ok", skipped: "unknown", unclear: "warn" };

const isRunning = (test) => test && test.phase !== "done";

let lease = ""; // Of the test that was begun in this tab, until the hub refuses it.

async function begin(path, body) {
  ({ lease } = await post(path, body));
}

// Renews the test that was begun here for as long as this view is open. Returns whether one runs that others have begun.
function useLease({ test, commissioning, renew_s }) {
  const running = [test, commissioning].find(isRunning);
  const test_id = running && lease ? running.test_id : "";
  useEffect(() => {
    if (!test_id) return undefined;
    const renew = () => post("/v1/tests/renew", { test_id, lease }).catch(({ status }) => {
      if (status) lease = "";
    });
    const timer = setInterval(renew, renew_s * 1000);
    return () => clearInterval(timer);
  }, [test_id]);
  return running && !lease;
}

function Begin({ output, action, close }) {
  const override = useState(false);
  const send = () => begin(`/v1/tests/relays/${encodeURIComponent(output)}`, { action, duration_s: ON_S, ...(override[0] && { override: OVERRIDE }) });
  return html`<${AskForm} title=${output} label=${t(`tests.begin_${action}`)} close=${close} send=${send}>
    <p>${t("tests.watch", { count: ON_S })}</p>
    <${Check} label=${t("tests.override")} bind=${override} />
  </${AskForm}>`;
}

function Output({ output, test }) {
  const [action, setAction] = useState("");
  const isTested = test?.output === output.output;
  const isBusy = isRunning(test);
  return html`<li class="stack">
    <div class="row"><strong class="grow">${output.output}</strong><${Doing} action=${output.action} /></div>
    <${Said}>${output.reason}</${Said}>
    ${isTested && html`<p role="status"><${Level} level=${OUTCOMES[test.outcome] ?? "fail"} text=${word("outcome", isBusy ? test.phase : test.outcome)} /> ${test.on_s > 0 && t("tests.on_for", { time: duration(test.on_s) })}</p><${Said}>${test.text}</${Said}>`}
    ${may("service") && html`<div class="buttons">
      ${isBusy
        ? isTested && html`<${Act} kind="danger" label=${t("tests.stop")} act=${() => post("/v1/tests/stop")} />`
        : ["heat", "cool"].filter((each) => output[`can_${each}`]).map((each) => html`<button onClick=${() => setAction(each)}>${t(`tests.begin_${each}`)}…</button>`)}
    </div>`}
    ${action && html`<${Begin} output=${output.output} action=${action} close=${() => setAction("")} />`}
  </li>`;
}

function Walk({ walk }) {
  const isBusy = isRunning(walk);
  learn("walk", walk?.phrases);
  return html`<${Card} title=${t("walk.title")}>
    <p>${t("walk.about")}</p>
    ${isBusy && html`<p role="status" class="lead">${t(`walk.${walk.phase}`, { zone: walk.zone, time: duration(walk.phase_s) })}</p>`}
    ${walk && html`<${Said}>${walk.text}</${Said}>
      ${walk.sentences.map((sentence) => html`<p><strong><${Hub} text=${sentence} /></strong></p>`)}
      <ul class="rows">${walk.turns.map((turn) => html`<li class="row" key=${turn.zone}><span class="grow">${turn.zone} <small class="soft" lang="en">${turn.sensor} ${turn.text}</small></span>
        <span class="small">${t("walk.rise", { value: number(turn.rise_k) })}</span><${Level} level=${VERDICTS[turn.verdict] ?? "fail"} text=${t(`walk.verdict_${turn.verdict}`)} /></li>`)}
        ${isBusy && walk.rises.map((rise) => html`<li class="row small" key=${rise.sensor}><span class="grow">${rise.sensor}</span><span>${degrees(rise.value_c)} · ${t("walk.rise", { value: number(rise.rise_k) })}</span></li>`)}</ul>`}
    <div class="buttons">
      ${isBusy
        ? html`<${Act} kind="danger" role="service" label=${t("tests.stop")} act=${() => post("/v1/tests/stop")} />`
        : html`<${Act} role="service" label=${t("walk.begin")} question=${t("walk.question")} act=${() => begin("/v1/tests/commissioning", { zones: [] })} />`}
      ${walk && html`<button onClick=${() => window.print()}>${t("act.print")}</button>`}
    </div>
  </${Card}>`;
}

function Live() {
  const report = usePolled("/v1/tests/sensors");
  const documents = useDocuments();
  return html`<ul class="rows">${report?.sensors.map((sensor) => html`<li class="reading" key=${sensor.device + sensor.sensor + sensor.kind}>
    <span><strong>${placeName(sensor.device, documents)}</strong><br />${word("kind", sensor.kind)} ${!sensor.device && html`<small class="soft">${sensor.sensor}</small>`}</span>
    <strong>${measured(sensor.value, sensor.unit)}</strong><span class="small soft">${ago(sensor.age_s)}</span>
    <div class="whole"><${Said} level="warn">${sensor.problem}</${Said}></div>
  </li>`)}</ul>`;
}

function Scan() {
  const [report, setReport] = useState(null);
  const [run, isBusy, problem] = useAction(async () => {
    const found = await post("/v1/tests/radio-scan");
    learn("scan", found.phrases);
    setReport(found);
  });
  return html`<${Card} title=${t("scan.title")}>
    <p>${t("scan.about")}</p>
    ${may("service") && html`<button aria-busy=${isBusy} onClick=${run}>${t("scan.begin")}</button>`}
    <p role="alert">${problem}</p>
    ${report && html`<${Said}>${report.sentence}</${Said}><ul>${report.channels.map((each) => html`<li class="row small" key=${each.channel}>
      <span class="channel">${each.channel}${each.is_own && " ●"}</span><meter class="grow" max="255" high="130" value=${each.energy} aria-label=${t("scan.channel", { channel: each.channel })}></meter></li>`)}</ul>`}
  </${Card}>`;
}

export default function Hardware() {
  const report = usePolled("/v1/tests");
  const [isLive, setLive] = useState(false);
  const isForeign = useLease(report ?? {});
  if (!report) return html`<${Waiting} />`;
  return html`<div class="stack">
    <${Head} title=${t("tests.title")} />
    <${Note}>${t("tests.about")}</${Note}>
    ${isForeign && html`<${Note} level="warn">${t("tests.foreign")}</${Note}>`}
    <div class="columns">
      <div class="stack">
        <${Card} title=${t("tests.outputs")}>
          ${report.outputs.length === 0 && html`<p>${t("tests.no_outputs")}</p>`}
          <ul class="rows">${report.outputs.map((output) => html`<${Output} key=${output.output} output=${output} test=${report.test} />`)}</ul>
        </${Card}>
        ${report.outputs.length > 0 && html`<${Walk} walk=${report.commissioning} />`}
      </div>
      <div class="stack">
        <${Card} title=${t("live_sensors.title")}><p>${t("live_sensors.about")}</p>
          <button aria-pressed=${isLive} onClick=${() => setLive(!isLive)}>${t("live_sensors.watch")}</button>${isLive && html`<${Live} />`}
          ${may("owner") && html`<a class="button" href="#/zones">${t("zones.title")}</a>`}</${Card}>
        ${report.can_scan && html`<${Scan} />`}
      </div>
    </div>
  </div>`;
}
