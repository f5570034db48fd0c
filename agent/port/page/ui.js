// What every view is made of: markup, levels, buttons that act and say how it ended, notes and dialogs.

import { h, render } from "./vendor/preact.mjs";
import { useCallback, useEffect, useMemo, useRef, useState } from "./vendor/hooks.mjs";
import htm from "./vendor/htm.mjs";
import { get, may } from "./api.js";
import { langOf, say, t } from "./words.js";

export const html = htm.bind(h);
export { render, useCallback, useEffect, useMemo, useRef, useState };

// Tell a screen reader, and nobody else.
export function announce(text) {
  const region = document.getElementById("announcements");
  if (region) region.textContent = text;
}

const SIGNS = {
  ok: html`<path d="M6 12.5l4 4 8-9" />`,
  warn: html`<path d="M12 6v7M12 17.2v.3" />`,
  fail: html`<path d="M8 8l8 8M16 8l-8 8" />`,
  unknown: html`<path d="M9 9.5a3 3 0 1 1 4.2 2.7c-.8.4-1.2 1-1.2 1.8M12 17.2v.3" />`,
};

const LEVELS = { ok: "ok", pass: "ok", warn: "warn", attention: "warn", fail: "fail", fault: "fail" };

// The levels of checks and of the verdict as the four that the page shows.
export function levelOf(value) {
  return LEVELS[value] ?? "unknown";
}

// A level as a sign, a word and a colour.
export function Level({ level, text }) {
  const known = levelOf(level);
  return html`<span class="level ${known}">
    <svg viewBox="0 0 24 24" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round">
      <circle cx="12" cy="12" r="10.5" stroke-width="1.8" />${SIGNS[known]}
    </svg>${text ?? t(`level.${known}`)}
  </span>`;
}

// A text of the hub, marked as English where it is not translated.
export function Hub({ text }) {
  return html`<span lang=${langOf(text)}>${say(text)}</span>`;
}

// Words that come from the hub, as a paragraph; nothing where it has none.
export function Said({ children, level, what }) {
  return children ? html`<p class=${level ? `toned ${level}` : ""}>${what && `${what} `}<${Hub} text=${children} /></p>` : null;
}

export function Note({ level = "unknown", children }) {
  return html`<div class="note ${levelOf(level)}" role=${levelOf(level) === "fail" ? "alert" : "note"}>${children}</div>`;
}

// A part of a view with its own heading.
export function Card({ title, level, children }) {
  return html`<section class="card stack" aria-label=${title}><div class="row"><h2 class="grow">${title}</h2>${level && html`<${Level} ...${level} />`}</div>${children}</section>`;
}

// Names and values, from pairs; a pair without a value is shown as none.
export function Facts({ facts }) {
  return html`<dl class="facts">${facts.map(([name, value]) => html`<dt>${name}</dt><dd>${value || value === 0 ? value : t("value.none")}</dd>`)}</dl>`;
}

// A text field, or another control by `kind`, with its label and hint. `bind` is [value, set].
export function Input({ id, label, hint, bind, kind = "input", children, ...rest }) {
  const [value, set] = bind;
  return html`<div class="tight"><label for=${id}>${label}</label>
    <${kind} id=${id} value=${value} autocomplete="off" spellcheck=${false} aria-describedby=${hint && `${id}-hint`} onInput=${(event) => set(event.target.value)} ...${rest}>${children}</${kind}>
    ${hint && html`<p class="hint" id="${id}-hint">${hint}</p>`}</div>`;
}

export function Check({ label, bind: [value, set] }) {
  return html`<label class="check"><input type="checkbox" checked=${value} onChange=${({ target }) => set(target.checked)} />${label}</label>`;
}

// A heading that a change of view moves the focus to, and the way back.
export function Head({ title, back = "#/", backTitle }) {
  const heading = useRef(null);
  useEffect(() => {
    document.title = `${title} · climahub`;
    heading.current.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [title]);
  return html`<div>
    ${back && html`<a class="back" href=${back}><span aria-hidden="true">‹</span>${backTitle ?? t("home.title")}</a>`}
    <h1 tabindex="-1" ref=${heading}>${title}</h1>
  </div>`;
}

// Runs one action at a time. Returns [run, isBusy, problem].
export function useAction(action) {
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const run = async (...given) => {
    if (isBusy) return;
    setBusy(true);
    setProblem("");
    try {
      await action(...given);
    } catch (error) {
      setProblem(error.message);
    } finally {
      setBusy(false);
    }
  };
  return [run, isBusy, problem];
}

// A button that does something at the hub: busy while it does, then what went wrong. Asks first where `question` is given.
export function Act({ label, act, kind = "", role = "viewer", question, done, disabled = false, lang }) {
  const [isAsking, setAsking] = useState(false);
  const [run, isBusy, problem] = useAction(async () => {
    await act();
    announce(done ?? t("act.done", { what: label }));
  });
  if (!may(role)) return null;
  return html`<span class="tight">
    <button type="button" class=${kind} lang=${lang} aria-busy=${isBusy} disabled=${disabled} onClick=${() => (question ? setAsking(true) : run())}>${label}</button>
    ${problem && html`<span role="alert" class="small toned fail">${problem}</span>`}
    ${isAsking && html`<${Ask} title=${label} question=${question} kind=${kind} close=${() => setAsking(false)} agree=${run} />`}
  </span>`;
}

export function Ask({ title, question, kind, close, agree }) {
  return html`<${Dialog} title=${title} close=${close}>
    <p>${question}</p>
    <div class="buttons">
      <button type="button" class=${kind || "main"} onClick=${() => { close(); agree(); }}>${title}</button>
      <button type="button" onClick=${close}>${t("act.cancel")}</button>
    </div>
  </${Dialog}>`;
}

function Dialog({ title, close, children }) {
  const dialog = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    dialog.current.showModal();
    return () => before?.focus?.();
  }, []);
  return html`<dialog ref=${dialog} aria-label=${title} class="stack" onClose=${close} onCancel=${close}><h2>${title}</h2>${children}</dialog>`;
}

// A form that sends once, and says what the hub refused.
export function Form({ send, label, children, kind = "main" }) {
  const [run, isBusy, problem] = useAction(send);
  return html`<form class="stack" onSubmit=${(event) => { event.preventDefault(); run(); }}>
    ${children}
    ${problem && html`<${Note} level="fail">${problem}</${Note}>`}
    <div class="buttons"><button class=${kind} aria-busy=${isBusy}>${label}</button></div>
  </form>`;
}

// A question with a form in a dialog.
export function AskForm({ title, label, close, send, children }) {
  return html`<${Dialog} title=${title} close=${close}>
    <${Form} label=${label ?? t("act.save")} send=${async () => { await send(); close(); }}>${children}</${Form}>
    <button type="button" onClick=${close}>${t("act.cancel")}</button>
  </${Dialog}>`;
}

// A secret that is shown once, until the person has noted it. `secret` is [value, set].
export function Once({ secret: [value, set] }) {
  return value && html`<${Note} level="warn"><p>${t("access.once")}</p><p class="code">${value}</p><button onClick=${() => set("")}>${t("access.noted")}</button></${Note}>`;
}

// Changes that are not at the hub yet: none is lost without a question.
let isUnsaved = false;
let askFirst = null;

// Leave what is on the screen: at once, or, where something is unsaved, `hold` now and `go` when the person agrees.
export function leave(go, hold) {
  if (!isUnsaved) return go();
  hold?.();
  return askFirst(go);
}

// For a view: whether it has changes that would be lost.
export function useUnsaved(isChanged) {
  useEffect(() => {
    if (!isChanged) return undefined;
    const stop = (event) => isUnsaved && event.preventDefault();
    isUnsaved = true;
    window.addEventListener("beforeunload", stop);
    return () => {
      isUnsaved = false;
      window.removeEventListener("beforeunload", stop);
    };
  }, [isChanged]);
}

export function LeaveQuestion() {
  const [go, setGo] = useState(null);
  askFirst = (next) => setGo(() => next);
  const agree = () => {
    isUnsaved = false;
    go();
  };
  return go && html`<${Ask} title=${t("unsaved.leave")} question=${t("unsaved.question")} kind="danger" close=${() => setGo(null)} agree=${agree} />`;
}

// Give something to the person as a file.
export function saveFile(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// A document that one view reads for itself. Returns [document, problem, read again].
export function useFetched(path, options) {
  const [state, setState] = useState({});
  const read = useCallback(async () => {
    try {
      setState({ value: await get(path, options) });
    } catch (error) {
      setState((before) => ({ ...before, problem: error.message }));
    }
  }, [path]);
  useEffect(() => void read(), [read]);
  return [state.value, state.problem, read];
}

const LOOK_MS = 1000;

// Reads a document again and again while the view is open.
export function usePolled(path) {
  const [state, setState] = useState(null);
  useEffect(() => {
    let timer = 0;
    let isOpen = true;
    const look = async () => {
      const found = await get(path).catch(() => null);
      if (!isOpen) return;
      if (found) setState(found);
      timer = setTimeout(look, LOOK_MS);
    };
    void look();
    return () => {
      isOpen = false;
      clearTimeout(timer);
    };
  }, [path]);
  return state;
}

// What is there of some parts, in a line.
export function joined(...parts) {
  return parts.filter(Boolean).join(" · ");
}

export function Waiting() {
  return html`<p class="soft" role="status">${t("act.waiting")}</p>`;
}
