// The link to the cloud and the outbox: what works, what is used of each quota, what waits and what was lost.

import { may, post } from "./api.js";
import { ageNow, useDocuments, useTick } from "./live.js";
import { linkSummary } from "./tiles.js";
import { AskForm, Card, Check, Facts, Head, Input, Level, Note, Said, Waiting, html, useState } from "./ui.js";
import { ago, bytes, duration, megabytes, number, t, word } from "./words.js";

const ENDPOINT = { working: "ok", throttled: "warn", failing: "fail" };
const COUNTS = ["pending", "held", "sendable", "unregistered", "unanchored", "in_memory", "committed", "accepted", "downsampled", "dropped", "dead_letters"];

function Endpoint({ name, endpoint, quota }) {
  return html`<li class="row">
    <span class="grow">${t(`endpoint.${name}`)} <small class="soft">${name}</small></span>
    <${Level} level=${ENDPOINT[endpoint.state]} text=${word("endpoint_state", endpoint.state)} />
    ${quota && html`<span class="quota small">${t("cloud.used", { used: number(quota.used, 0), limit: number(quota.limit, 0), time: duration(quota.window_s) })}
      <meter max=${quota.limit} high=${quota.limit * 0.8} value=${quota.used} aria-label=${t("cloud.quota")}></meter></span>`}
    ${endpoint.reason && html`<p class="small whole" lang="en">${endpoint.reason}</p>`}
  </li>`;
}

// What the link costs, as contracts of metered links count it.
function Cost({ usage }) {
  const rate = usage.bytes_per_day != null && [
    [t("cloud.per_day"), megabytes(usage.bytes_per_day)],
    [t("cloud.per_month"), megabytes(usage.bytes_per_month)],
  ];
  return html`<${Card} title=${t("cloud.cost")}>
    <p class="hint">${t(rate ? "cloud.cost_about" : "cloud.cost_soon")}</p>
    ${rate && html`<${Facts} facts=${rate} />`}
    <${Facts} facts=${usage.days.map((each) => [each.day, t("cloud.both", { sent: megabytes(each.sent_bytes), received: megabytes(each.received_bytes) })])} />
  </${Card}>`;
}

// Gives the hub its key, or another one. Root stores it, which takes a while, and the hub restarts with it.
function KeyForm({ close, done }) {
  const key = useState("");
  const zone = useState("");
  const unchecked = useState(false);
  const send = async () => done(await post("/v1/cloud-key", { key: key[0], time_zone: zone[0], unchecked: unchecked[0] }, { timeout_s: 150 }));
  return html`<${AskForm} title=${t("cloud.key")} close=${close} send=${send}>
    <${Input} id="key" type="password" required label=${t("zigbee.key")} bind=${key} />
    <${Input} id="zone" label=${t("cloud.zone")} hint=${t("cloud.zone_hint", { zone: Intl.DateTimeFormat().resolvedOptions().timeZone })} bind=${zone} />
    <${Check} label=${t("cloud.unchecked")} bind=${unchecked} />
  </${AskForm}>`;
}

function Key() {
  const [isAsking, setAsking] = useState(false);
  const [report, setReport] = useState();
  return html`${report && html`<${Note} level=${report.problem ? "warn" : "ok"}>${t("cloud.key_stored")} <${Said}>${report.stored}</${Said}><${Said}>${report.problem}</${Said}></${Note}>`}
    ${may("owner") && html`<button onClick=${() => setAsking(true)}>${t("cloud.key")}…</button>`}
    ${isAsking && html`<${KeyForm} close=${() => setAsking(false)} done=${setReport} />`}`;
}

export default function Cloud() {
  const { status } = useDocuments();
  useTick();
  if (!status) return html`<${Waiting} />`;
  const { link, quotas, settings } = status;
  return html`<div class="stack">
    <${Head} title=${t("cloud.title")} />
    <div class="card stack">
      <${Level} ...${linkSummary(status)} />
      <${Said}>${link.reason}</${Said}>
      <${Facts} facts=${[
        [t("cloud.outages"), number(link.outages, 0)],
        // While it fails the reason stands above.
        ...(link.reason || !link.last_error ? [] : [[t("cloud.last_error"), html`<span lang="en">${link.last_error}</span> · ${ago(ageNow("status", link.last_error_age_s))}`]]),
        [t("outbox.accepted_last"), ago(status.outbox.accepted_age_s)],
        [t("cloud.compression"), word("compression", link.compression)],
        [t("cloud.interval"), duration(Number(settings.in_force.reporting_interval_seconds ?? 0))],
      ]} />
      ${[...settings.problems, status.commands_problem].map((text) => html`<${Said} level="warn">${text}</${Said}>`)}
      <${Key} />
    </div>
    <${Cost} usage=${link.usage} />
    <${Card} title=${t("cloud.endpoints")}><ul class="rows">
      ${Object.entries(link.endpoints).map(([name, endpoint]) => html`<${Endpoint} key=${name} name=${name} endpoint=${endpoint} quota=${quotas[name]} />`)}
    </ul></${Card}>
  </div>`;
}

export function Outbox() {
  const { status } = useDocuments();
  useTick();
  if (!status) return html`<${Waiting} />`;
  const { outbox } = status;
  return html`<div class="stack">
    <${Head} title=${t("outbox.title")} />
    <p>${t("outbox.about")}</p>
    ${outbox.problem && html`<${Note} level="fail"><${Said}>${outbox.problem}</${Said}></${Note}>`}
    ${outbox.last_refusal && html`<${Note} level="warn"><${Said} what=${t("outbox.refused")}>${outbox.last_refusal}</${Said}></${Note}>`}
    <div class="card"><${Facts} facts=${[
      ...COUNTS.map((name) => [t(`outbox.${name}`), number(outbox[name], 0)]),
      [t("outbox.oldest"), outbox.pending > 0 && ago(outbox.oldest_age_s)],
      [t("outbox.accepted_last"), ago(outbox.accepted_age_s)],
      [t("outbox.used"), bytes(outbox.used_bytes)],
    ]} /></div>
  </div>`;
}
