// Who can get in and who changed what: sessions, codes and the audit trail. A code is shown once.

import { ask, get, may, post } from "./api.js";
import { useEvents } from "./live.js";
import { Act, Card, Head, Note, Said, html, useCallback, useEffect, useFetched, useState } from "./ui.js";
import { ago, duration, moment, say, t, tn, word } from "./words.js";

const ROLES = ["owner", "service", "viewer"];

function Codes({ codes, changed }) {
  const [secret, setSecret] = useState("");
  const make = (role) => async () => {
    setSecret((await post(`/v1/codes/${role}`, { replace: true })).code);
    changed();
  };
  return html`<${Card} title=${t("access.codes")}>
    ${secret && html`<${Note} level="warn"><p>${t("access.once")}</p><p class="code">${secret}</p><button onClick=${() => setSecret("")}>${t("access.noted")}</button></${Note}>`}
    <ul class="rows">${ROLES.map((role) => {
      const known = codes.find((each) => each.role === role);
      return html`<li class="row" key=${role}><span class="grow">${word("role", role)} <small class="soft">${known ? known.made && moment(known.made) : t("access.no_code")}</small></span>
        <${Act} role="owner" label=${t("access.new_code")} question=${known && t("access.new_code_question")} act=${make(role)} /></li>`;
    })}</ul>
  </${Card}>`;
}

function Audit() {
  const [entries, setEntries] = useState([]);
  const [isMore, setMore] = useState(false);
  const read = useCallback(async (before, kept = []) => {
    const report = await get(`/v1/audit${before ? `?before=${before}` : ""}`);
    setEntries([...kept, ...report.entries]);
    setMore(report.entries.length > 0 && report.entries.at(-1).id > 1);
  }, []);
  const readAgain = useCallback(() => void read(), [read]);
  useEffect(readAgain, [readAgain]);
  useEvents("audit", readAgain);
  return html`<${Card} title=${t("access.audit")}>
    <ul class="rows">${entries.map((entry) => html`<li class="tight" key=${entry.id ?? entry.boot_age_s}>
      <div class="row"><span class="grow"><strong>${say(word("audited", entry.action))}</strong> <small class="soft">${entry.target}</small></span>
        <span class="small toned ${entry.result.startsWith("2") ? "" : "fail"}">${word("audited", entry.result.replace(/^2.*/, "done"))}</span></div>
      <p class="small soft">${[entry.utc ? moment(entry.utc) : t("boots.unknown_time"), entry.name || word("role", entry.role), entry.origin, entry.count > 1 && `${entry.count}×`].filter(Boolean).join(" · ")}</p>
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
