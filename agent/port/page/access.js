// Who can get in and who changed what: sessions, codes and the audit trail; and the programs that use the hub's APIs:
// clients, where their events go, alerts. A code or secret is shown once.

import { ask, get, may, post } from "./api.js";
import { useEvents } from "./live.js";
import { Act, AskForm, Card, Check, Head, Input, Level, Once, Said, Waiting, html, joined, useCallback, useEffect, useFetched, useState } from "./ui.js";
import { ago, duration, moment, say, t, tn, word } from "./words.js";

const ROLES = ["owner", "service", "viewer"];
const HOOKED = ["amps", "aurra_home"]; // The APIs that send events.

function Codes({ codes, changed }) {
  const secret = useState("");
  const make = (role) => async () => {
    secret[1]((await post(`/v1/codes/${role}`, { replace: true })).code);
    changed();
  };
  return html`<${Card} title=${t("access.codes")}>
    <${Once} secret=${secret} />
    <ul class="rows">${ROLES.map((role) => {
      const known = codes.find((each) => each.role === role);
      return html`<li class="row" key=${role}><span class="grow">${word("role", role)} <small class="soft">${known ? known.made && moment(known.made) : t("access.no_code")}</small></span>
        <${Act} role="owner" label=${t("access.new_code")} question=${known && t("access.new_code_question")} act=${make(role)} /></li>`;
    })}</ul>
    <a class="button" href="#/sheet">${t("sheet.title")}</a>
  </${Card}>`;
}

function Audit() {
  const [entries, setEntries] = useState([]);
  const [isMore, setMore] = useState(false);
  const [problem, setProblem] = useState("");
  const read = useCallback(async (before, kept = []) => {
    try {
      const report = await get(`/v1/audit${before ? `?before=${before}` : ""}`);
      setEntries([...kept, ...report.entries]);
      setMore(report.entries.length > 0 && report.entries.at(-1).id > 1);
      setProblem("");
    } catch (error) {
      setProblem(error.message);
    }
  }, []);
  const readAgain = useCallback(() => void read(), [read]);
  useEffect(readAgain, [readAgain]);
  useEvents("audit", readAgain);
  return html`<${Card} title=${t("access.audit")}><${Said} level="fail">${problem}</${Said}>
    <ul class="rows">${entries.map((entry) => html`<li class="tight" key=${entry.id ?? entry.boot_age_s}>
      <div class="row"><span class="grow"><strong>${say(word("audited", entry.action))}</strong> <small class="soft">${entry.target}</small></span>
        <span class="small toned ${entry.result.startsWith("2") ? "" : "fail"}">${word("audited", entry.result.replace(/^2.*/, "done"))}</span></div>
      <p class="small soft">${joined(entry.utc ? moment(entry.utc) : t("boots.unknown_time"), entry.name || word("role", entry.role), entry.origin, entry.count > 1 && `${entry.count}×`)}</p>
    </li>`)}</ul>
    ${isMore && html`<button onClick=${() => read(entries.at(-1).id, entries)}>${t("log.older")}</button>`}
  </${Card}>`;
}

export default function Access() {
  const [report, problem, read] = useFetched("/v1/access");
  return html`<div class="stack">
    <${Head} title=${t("access.title")} />
    <${Said} level="fail">${problem || report?.problem}</${Said}>
    ${report && html`<div class="columns"><${Audit} /><div class="stack">
      <${Card} title=${t("access.sessions")}><ul class="rows">
        ${report.sessions.map((session) => html`<li class="row" key=${session.id}><span class="grow">${word("role", session.role)} <small class="soft">${session.origin}, ${ago(session.idle_s)}</small></span>
          <${Act} role="owner" label=${t("access.end_session")} act=${async () => { await ask("DELETE", `/v1/sessions/${session.id}`); read(); }} /></li>`)}
        ${report.refused.map((source) => html`<li class="row toned warn">${tn("access.refused", source.tries, { origin: source.origin, time: duration(source.age_s) })}</li>`)}
      </ul></${Card}>
      ${may("owner") && html`<${Codes} codes=${report.codes} changed=${read} />`}
    </div></div>`}
  </div>`;
}

// A document that one card shows, and what changes it: change(method, path, body) as the action of a button.
function useChanged(path) {
  const [report, problem, read] = useFetched(path);
  const change = (method, rest = "", body) => async () => {
    const answer = await ask(method, path + rest, body);
    await read();
    return answer;
  };
  return [report, html`<${Said} level="fail">${problem || report?.problem}</${Said}>`, change];
}

function Client({ client, change }) {
  const { name, api, zones, is_test, is_expired } = client;
  return html`<li class="row"><span class="grow">${name} <small class="soft">${joined(api, is_test && t("apis.test"), ...zones, t("apis.used", { time: ago(client.idle_s) }))}</small></span>
    ${is_expired && html`<${Level} level="warn" text=${t("apis.expired")} />`}
    <${Act} kind="danger" role="owner" label=${t("apis.revoke")} question=${t("apis.revoke_question", { name })} act=${change("DELETE", `/${client.client_id}`)} /></li>`;
}

function Register({ apis, close, send }) {
  const url = useState("");
  const api = useState(apis[0].name);
  const local = useState(false);
  return html`<${AskForm} title=${t("hooks.add")} close=${close} send=${() => send({ url: url[0], api: api[0], allow_private: local[0] })}>
    <${Input} id="url" type="url" required label=${t("zigbee.address")} bind=${url} />
    <${Input} id="api" kind="select" label=${t("hooks.api")} bind=${api}>${apis.map(({ name, title }) => html`<option value=${name}>${title}</option>`)}</${Input}>
    <${Check} label=${t("hooks.private")} bind=${local} />
  </${AskForm}>`;
}

function Webhook({ hook, dead, change }) {
  const [said, setSaid] = useState("");
  const path = `/${hook.id}`;
  const [level, key, count] = dead ? ["fail", "dead", dead] : hook.waiting ? ["warn", "waiting", hook.waiting] : ["ok", "fine"];
  return html`<li class="stack">
    <div class="row"><span class="grow">${hook.url} <small class="soft">${joined(hook.api, ...hook.events)}</small></span><${Level} level=${level} text=${t(`hooks.${key}`, { count })} /></div>
    <div role="status"><${Said}>${said}</${Said}></div>
    <div class="buttons"><${Act} label=${t("hooks.test")} act=${async () => setSaid((await change("POST", `${path}/test`)()).result)} />
      ${dead > 0 && html`<${Act} label=${t("hooks.retry")} act=${change("POST", `${path}/retry`)} />`}
      <${Act} kind="danger" label=${t("zigbee.remove")} question=${t("hooks.remove_question")} act=${change("DELETE", path)} /></div>
  </li>`;
}

function Webhooks({ apis }) {
  const [report, problem, change] = useChanged("/v1/webhooks");
  const [isAdding, setAdding] = useState(false);
  const secret = useState("");
  const add = async (body) => secret[1]((await change("POST", "", body)()).secret);
  return html`<${Card} title=${t("hooks.title")}>${problem}<${Once} secret=${secret} />
    <ul class="rows">${report?.webhooks.map((hook) => html`<${Webhook} key=${hook.id} hook=${hook} dead=${report.dead_letters.filter(({ webhook }) => webhook === hook.id).length} change=${change} />`)}
      ${report?.dead_letters.map((each) => html`<li class="small" lang="en" key=${each.id}>${joined(each.event, each.made && moment(each.made), each.reason)}</li>`)}</ul>
    <button onClick=${() => setAdding(true)}>${t("hooks.add")}…</button>
    ${isAdding && html`<${Register} apis=${apis} close=${() => setAdding(false)} send=${add} />`}
  </${Card}>`;
}

function Alerts() {
  const [report, problem, change] = useChanged("/v1/alerts");
  const open = report?.alerts.filter((alert) => !alert.is_resolved);
  return html`<${Card} title=${t("alerts.title")}>${problem}
    ${open?.length === 0 && html`<p>${t("alerts.none")}</p>`}
    <ul class="rows">${open?.map((alert) => html`<li class="row" key=${alert.id}><span class="grow"><strong>${alert.issue}</strong> <small class="soft">${joined(alert.zone, alert.client, alert.made && moment(alert.made))}</small><br />${alert.action}</span>
      <${Act} role="service" label=${t("alerts.resolve")} act=${change("POST", `/${alert.id}/resolve`)} /></li>`)}</ul>
  </${Card}>`;
}

export function Integrations() {
  const [report, problem, change] = useChanged("/v1/api-clients");
  const apis = report?.apis ?? [];
  const hooked = apis.filter(({ name }) => HOOKED.includes(name));
  return html`<div class="stack">
    <${Head} title=${t("apis.title")} />${problem}
    ${!report ? html`<${Waiting} />` : html`<div class="columns"><div class="stack">
      <${Card} title=${t("apis.clients")}>
        ${apis.length === 0 ? html`<p>${t("apis.none")}</p>` : report.clients.length === 0 && html`<p class="hint">${t("apis.no_client")}</p>`}
        <ul>${apis.map(({ title, path }) => html`<li>${title} <code class="small soft">${path}</code></li>`)}</ul>
        <ul class="rows">${report.clients.map((client) => html`<${Client} key=${client.client_id} client=${client} change=${change} />`)}</ul>
      </${Card}>
      ${apis.some(({ name }) => name === "aurra_home") && html`<${Alerts} />`}
    </div>${hooked.length > 0 && may("owner") && html`<${Webhooks} apis=${hooked} />`}</div>`}
  </div>`;
}
