// The hub's last log records, newest first, with a filter; new ones come by themselves while the filter is open.

import { get } from "./api.js";
import { useEvents } from "./live.js";
import { Head, Input, Note, html, useCallback, useEffect, useState } from "./ui.js";
import { ago, t, word } from "./words.js";

const LEVELS = ["debug", "info", "warning", "error"];
const SHOWN_MAX = 2000;
const TYPING_MS = 300;
const TONES = { warning: "warn", error: "fail", critical: "fail" };

function Entry({ entry }) {
  const time = entry.utc ? new Date(entry.utc).toLocaleTimeString() : ago(entry.age_s);
  return html`<li class=${TONES[entry.level] ?? ""}><pre lang="en"><span class="soft">${time} ${entry.component}</span> <b class="toned">${entry.level}</b> ${entry.text}${entry.traceback.length > 0 && `\n${entry.traceback.join("\n")}`}</pre></li>`;
}

export default function Log() {
  const [asked, setAsked] = useState({ level: "info", text: "" });
  const [entries, setEntries] = useState([]);
  const [problem, setProblem] = useState("");
  const [oldest, setOldest] = useState(Infinity);
  const query = (more) => `/v1/log?${new URLSearchParams({ level: asked.level, ...(asked.text && { text: asked.text }), ...more })}`;
  const read = async (more, join) => {
    try {
      const report = await get(query(more));
      setEntries((before) => join(before, report.entries));
      setOldest(report.oldest_id);
      setProblem("");
    } catch (error) {
      setProblem(error.message);
    }
  };
  useEffect(() => {
    const timer = setTimeout(() => read({}, (_, found) => found), TYPING_MS);
    return () => clearTimeout(timer);
  }, [asked]);
  // An event says that there is something new; the hub filters.
  useEvents("log", useCallback(() => {
    const newest = entries[0]?.id ?? 0;
    void read({ after: newest }, (before, found) => [...found.filter((each) => each.id > (before[0]?.id ?? 0)), ...before].slice(0, SHOWN_MAX));
  }, [asked, entries]));
  const last = entries.at(-1)?.id ?? 0;
  return html`<div class="stack">
    <${Head} title=${t("log.title")} />
    <div class="pair">
      <${Input} id="level" kind="select" label=${t("log.level")} bind=${[asked.level, (level) => setAsked({ ...asked, level })]}>
        ${LEVELS.map((level) => html`<option value=${level}>${word("log_level", level)}</option>`)}
      </${Input}>
      <${Input} id="text" type="search" maxlength="100" label=${t("log.text")} bind=${[asked.text, (text) => setAsked({ ...asked, text })]} />
    </div>
    ${problem && html`<${Note} level="fail">${problem}</${Note}>`}
    ${entries.length === 0 && !problem && oldest < Infinity && html`<p class="soft">${t("log.none")}</p>`}
    <ol class="log">${entries.map((entry) => html`<${Entry} key=${entry.id} entry=${entry} />`)}</ol>
    ${last > oldest && html`<button type="button" onClick=${() => read({ before: last }, (before, found) => [...before, ...found])}>${t("log.older")}</button>`}
  </div>`;
}
