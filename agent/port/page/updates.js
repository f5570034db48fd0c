// Updates: the running release and the next one, slots, trial, a bundle from a file, and the boots of the machine.

import { ask, may, post } from "./api.js";
import { refresh, useDocuments, useTick } from "./live.js";
import { UPDATE_LEVELS } from "./tiles.js";
import { Act, Card, Facts, Form, Head, Note, Said, Waiting, html, joined, useFetched, useState } from "./ui.js";
import { duration, moment, t, word } from "./words.js";

const UPLOAD_S_MAX = 1800;
async function send(action) {
  await post(`/v1/update/${action}`);
  await refresh("update");
}

function Install() {
  const [file, setFile] = useState(null);
  if (!may("owner")) return null;
  const install = async () => {
    await ask("PUT", "/v1/update/bundle", file, { timeout_s: UPLOAD_S_MAX });
    await refresh("update");
  };
  return html`<${Card} title=${t("updates.install")}><${Form} label=${t("updates.send")} send=${install}>
    <label for="bundle">${t("updates.file")}</label>
    <input id="bundle" type="file" required aria-describedby="bundle-hint" onChange=${(event) => setFile(event.target.files[0])} />
    <p class="hint" id="bundle-hint">${t("updates.file_hint")}</p>
  </${Form}></${Card}>`;
}

function Trial({ update }) {
  if (update.trial_left_s == null) return null;
  return html`<${Note} level="warn">
    <p>${t("updates.trial", { left: duration(update.trial_left_s), deadline: duration(update.trial_deadline_s) })}</p>
    ${Object.entries(update.trial_problems).map(([check, text]) => html`<${Said} what="${check}:">${text}</${Said}>`)}
    <${Act} kind="danger" role="owner" label=${t("updates.roll_back")} question=${t("updates.roll_back_question")} act=${() => send("rollback")} />
  </${Note}>`;
}

function Boots() {
  const [report] = useFetched("/v1/boots");
  if (!report?.boots.length) return null;
  return html`<${Card} title=${t("boots.title")}><ul class="rows">${report.boots.map((boot) => html`<li key=${boot.boot_id}>
    <div class="row"><span class="grow">${boot.began ? moment(boot.began) : t("boots.unknown_time")} <small class="soft">${word("boot_reason", boot.reason)}</small></span>
      <span class="small">${word("boot_end", boot.end)}</span></div>
    <p class="small soft">${joined(t("boots.ran", { time: duration(boot.seen_s) }), ...boot.versions)}</p>
    ${boot.power_problems.map((problem) => html`<p class="small toned warn">${word("power", problem)}</p>`)}
  </li>`)}</ul></${Card}>`;
}

function Release({ update }) {
  return html`<${Card} title=${t("updates.running", { version: update.version })} level=${{ level: UPDATE_LEVELS[update.state] ?? "warn", text: word("update_state", update.state) }}>
    ${update.percent > 0 && update.percent < 100 && html`<progress max="100" value=${update.percent} aria-label=${word("update_state", update.state)}></progress>`}
    <${Said}>${update.waiting_for}</${Said}><${Said}>${update.checked}</${Said}>
    <${Facts} facts=${["slot", "good", "target", "floor", "failed", "launcher", "system"].map((name) => [t(`updates.${name}`), update[name]])} />
    <${Facts} facts=${[[t("updates.keys"), update.trusted_keys.join(", ")]]} />
    <div class="buttons">
      <${Act} role="owner" label=${t("updates.check")} act=${() => send("check")} />
      <${Act} role="owner" kind=${update.is_paused ? "main" : ""} label=${t(update.is_paused ? "updates.resume" : "updates.pause")} act=${() => send(update.is_paused ? "resume" : "pause")} />
    </div>
    ${update.refused.length > 0 && html`<h3>${t("updates.refused")}</h3>${update.refused.map((each) => html`<${Said} what="${each.version}:">${each.reason}</${Said}>`)}`}
  </${Card}>`;
}

export default function Updates() {
  const { update } = useDocuments();
  useTick();
  if (update === undefined) return html`<${Waiting} />`;
  return html`<div class="stack">
    <${Head} title=${t("updates.title")} />
    ${update === null && html`<p>${t("updates.none")}</p>`}
    ${update?.warning && html`<${Note} level="warn"><${Said}>${update.warning}</${Said}></${Note}>`}
    ${update?.error && html`<${Note} level="warn"><${Said} what=${t("updates.last_failed")}>${update.error}</${Said}></${Note}>`}
    ${update && html`<${Trial} update=${update} />`}
    <div class="columns">${update && html`<${Release} update=${update} />`}<div class="stack">${update && html`<${Install} />`}<${Boots} /></div></div>
  </div>`;
}
