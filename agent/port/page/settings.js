// The configuration as it is in force, and changes to it. The hub checks a value by the table of its keys; one that needs
// a restart is on trial then, and undone unless an owner keeps it: so a mistake cannot lock anybody out.

import { ask, may, post } from "./api.js";
import { AskForm, Act, Head, Hub, Input, Note, Said, Waiting, html, useEffect, useFetched, useState } from "./ui.js";
import { duration, t } from "./words.js";

export const CONFIG = "/v1/config";
const LOOK_MS = 3_000; // While a change is on trial: the hub restarts, then its time runs.

export const valueOf = (config, key) => config.keys.find((each) => each.key === key).value;

export function useConfig() {
  const [config, problem, read] = useFetched(CONFIG);
  const isChanging = config?.trial != null || config?.is_restarting;
  useEffect(() => {
    if (!isChanging) return undefined;
    const timer = setInterval(read, LOOK_MS);
    return () => clearInterval(timer);
  }, [isChanging]);
  return [config, problem, read];
}

// How a key is edited, from what its table allows: {kind, options, type, value, read}. Pure.
export function editorOf({ allowed, value }) {
  if (/^true or false$/.test(allowed)) return { kind: "select", options: ["true", "false"], value: String(value), read: (text) => text === "true" };
  if (/^one of /.test(allowed)) return { kind: "select", options: JSON.parse(`[${allowed.slice(7)}]`), value, read: String };
  if (/^a (whole )?number/.test(allowed)) return { kind: "input", type: "number", step: "any", value: value ?? "", read: Number };
  if (/^an array/.test(allowed)) return { kind: "textarea", rows: 4, value: JSON.stringify(value), read: JSON.parse };
  return { kind: "input", value: value ?? "", read: String };
}

function Edit({ entry, close, changed }) {
  const { options, read, value, ...control } = editorOf(entry);
  const text = useState(value);
  const send = (next) => async () => changed(await ask("PATCH", CONFIG, { changes: { [entry.key]: next } }));
  return html`<${AskForm} title=${entry.key} close=${close} send=${() => send(read(text[0]))()}>
    <${Said}>${entry.help}</${Said}>
    <${Input} id="value" label=${t("settings.value", { unit: entry.unit })} hint=${entry.allowed} bind=${text} ...${control}>
      ${options?.map((each) => html`<option value=${each}>${each}</option>`)}
    </${Input}>
    ${entry.edit === "restart" && html`<p>${t("settings.restarts")}</p>`}
    ${/^changed/.test(entry.origin) && html`<${Act} label=${t("settings.take_back")} act=${async () => { await send(null)(); close(); }} />`}
  </${AskForm}>`;
}

export function Trial({ trial, changed }) {
  if (!trial) return null;
  const decide = (what) => async () => changed(await post(`${CONFIG}/${what}`));
  return html`<${Note} level="warn">
    <p><strong>${t("settings.trial", { keys: trial.keys.join(", "), time: duration(trial.left_s) })}</strong></p>
    <div class="buttons"><${Act} kind="main" role="owner" disabled=${!trial.is_started} label=${t("settings.keep")} act=${decide("confirm")} /><${Act} role="owner" label=${t("settings.undo")} act=${decide("rollback")} /></div>
  </${Note}>`;
}

// The change on trial, for the first view: whoever signs in after the restart sees it first.
export function ConfigTrial() {
  const [config, , read] = useConfig();
  return html`<${Trial} trial=${config?.trial} changed=${read} />`;
}

export default function Settings() {
  const [config, problem, read] = useConfig();
  const [entry, setEntry] = useState(null);
  const filter = useState("");
  if (!config) return html`<${Head} title=${t("settings.title")} />${problem || html`<${Waiting} />`}`;
  const shown = config.keys.filter((each) => `${each.key} ${each.help}`.includes(filter[0].toLowerCase()));
  return html`<div class="stack">
    <${Head} title=${t("settings.title")} />
    <p>${t("settings.file")} <code>${config.file}</code></p>
    <${Said} level="fail">${config.problem}</${Said}><${Said}>${config.last_trial}</${Said}>
    <${Trial} trial=${config.trial} changed=${read} />
    <${Input} id="filter" type="search" label=${t("log.text")} bind=${filter} />
    ${config.tables.map((table) => {
      const keys = shown.filter((each) => each.key.slice(0, each.key.lastIndexOf(".")) === table.table);
      return keys.length > 0 && html`<details class="card" key=${table.table} open=${filter[0] !== ""}>
        <summary><span class="grow">${table.table} <small class="soft"><${Hub} text=${table.about} /></small></span></summary>
        <ul class="rows">${keys.map((each) => html`<li class="row" key=${each.key}>
          <span class="grow">${each.key.slice(table.table.length + 1)} <code class="small">${each.text}</code> ${each.unit}<br /><small class="soft"><${Hub} text=${each.origin === "default" ? each.help : each.origin} /></small></span>
          ${may("owner") && each.edit !== "file" && html`<button aria-label=${t("settings.change_key", { key: each.key })} onClick=${() => setEntry(each)}>${t("settings.change")}</button>`}
        </li>`)}</ul>
      </details>`;
    })}
    ${entry && html`<${Edit} entry=${entry} close=${() => setEntry(null)} changed=${read} />`}
  </div>`;
}
