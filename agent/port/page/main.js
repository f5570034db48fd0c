// Starts the page: language, session, frame and the view that the address names (#/rooms, #/zigbee/pair).

import { currentSession, onSession, readSession, signOut } from "./api.js";
import { connection, refresh, start, useDocuments, useTick } from "./live.js";
import { Act, Head, LeaveQuestion, Note, Waiting, html, leave, render, useEffect, useState } from "./ui.js";
import { LANGUAGES, chooseLanguage, currentLanguage, duration, loadTexts, t, word } from "./words.js";

const VIEWS = {
  "": () => import("./home.js"),
  rooms: () => import("./rooms.js"),
  week: () => import("./week.js"),
  sensors: () => import("./sensors.js"),
  zigbee: () => import("./zigbee.js"),
  cloud: () => import("./cloud.js"),
  outbox: () => import("./cloud.js").then(({ Outbox }) => ({ default: Outbox })),
  updates: () => import("./updates.js"),
  log: () => import("./log.js"),
  checks: () => import("./checks.js"),
  tests: () => import("./hardware.js"),
  zones: () => import("./zones.js"),
  settings: () => import("./settings.js"),
  sheet: () => import("./sheet.js"),
  integrations: () => import("./access.js").then(({ Integrations }) => ({ default: Integrations })),
  access: () => import("./access.js"),
};

const loaded = new Map(); // The views by name: one that is there is shown at once.

const AGAIN_MS = 3_000;
const STIR_MS = 5 * 60_000;

function currentPath() {
  const parts = location.hash.replace(/^#\/?/, "").split("/");
  try {
    return parts.map(decodeURIComponent);
  } catch {
    return parts; // Typed by hand: no name has such a character.
  }
}

async function loadView(name) {
  loaded.set(name, Object.hasOwn(VIEWS, name) ? (await VIEWS[name]()).default : Nowhere);
}

function usePath() {
  const [path, setPath] = useState(currentPath);
  useEffect(() => {
    let here = location.href;
    setPath(currentPath()); // It may have changed before anybody listened.
    const follow = () => {
      const there = location.href;
      const go = () => {
        here = there;
        location.replace(there);
        setPath(currentPath());
      };
      leave(go, () => history.replaceState(null, "", here));
    };
    window.addEventListener("hashchange", follow);
    return () => window.removeEventListener("hashchange", follow);
  }, []);
  return path;
}

function View({ path }) {
  const [name] = path;
  const [, redraw] = useState(0);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    let isCurrent = true;
    setProblem("");
    if (loaded.has(name)) return undefined;
    loadView(name).then(
      () => isCurrent && redraw(name),
      () => isCurrent && setProblem(t("error.no_answer")),
    );
    return () => {
      isCurrent = false;
    };
  }, [name]);
  if (problem) return html`<${Note} level="fail">${problem}</${Note}>`;
  if (!loaded.has(name)) return html`<${Waiting} />`;
  return html`<${loaded.get(name)} parts=${path.slice(1)} />`;
}

function Nowhere() {
  return html`<${Head} title=${t("missing.view")} />`;
}

function Connection() {
  useDocuments();
  useTick(1000);
  const { isAnswering, silent_s } = connection();
  return html`<span class="state"><span class="dot ${isAnswering ? "" : "off"}" aria-hidden="true"></span>
    ${isAnswering ? t("live.on") : t("live.off", { time: duration(silent_s) })}</span>`;
}

// Told by name and with the age of what is shown, and read out once.
function Silence() {
  useDocuments();
  useTick(1000);
  const { isAnswering, silent_s } = connection();
  return html`<div aria-live="assertive">${!isAnswering && html`<div class="banner">
    <strong>${t("live.silent")}</strong> <span aria-live="off">${t("live.age", { time: duration(silent_s) })}</span>
  </div>`}</div>`;
}

// The hub ends a session that asks nothing for 30 min, and its stream does not ask: whoever touches the page does.
function useSessionKept() {
  useEffect(() => {
    let askedMs = performance.now();
    const stir = () => {
      if (performance.now() - askedMs < STIR_MS) return;
      askedMs = performance.now();
      readSession().catch(() => undefined);
    };
    const signs = ["pointerdown", "keydown"];
    for (const sign of signs) window.addEventListener(sign, stir);
    return () => {
      for (const sign of signs) window.removeEventListener(sign, stir);
    };
  }, []);
}

function Frame() {
  const path = usePath();
  useSessionKept();
  useEffect(start, []);
  const session = currentSession();
  return html`<a class="skip" href="#content" onClick=${skip}>${t("frame.skip")}</a>
    <header class="bar"><a class="brand" href="#/">climahub</a><${Connection} /></header>
    <${Silence} />
    <main class="sheet" id="content" tabindex="-1"><${View} path=${path} /></main>
    <footer class="foot sheet">
      <span>${t("frame.signed_in", { name: session.name, role: word("role", session.role) })}</span>
      <${Act} kind="plain" label=${t("frame.sign_out")} act=${() => leave(signOut)} />
      <${Languages} />
    </footer>
    <${LeaveQuestion} />`;
}

function skip(event) {
  event.preventDefault();
  document.getElementById("content").focus();
}

function Languages() {
  return LANGUAGES.filter((each) => each !== currentLanguage()).map(
    (each) => html`<button class="plain" lang=${each} onClick=${() => chooseLanguage(each)}>${t(`language.${each}`)}</button>`,
  );
}

function App() {
  const [session, setSession] = useState(currentSession());
  const [SignIn, setSignIn] = useState(null);
  useEffect(() => onSession(setSession), []);
  useEffect(() => {
    if (!session) void import("./sign_in.js").then((module) => setSignIn(() => module.SignIn));
  }, [session]);
  return html`<div id="announcements" class="hidden" role="status" aria-live="polite"></div>
    ${session
      ? html`<${Frame} />`
      : html`<header class="bar"><span class="brand">climahub</span></header>
        <main class="sheet">${SignIn ? html`<${SignIn} />` : html`<${Waiting} />`}</main>
        <footer class="foot sheet"><${Languages} /></footer>`}`;
}

function showApp() {
  const root = document.getElementById("app");
  root.replaceChildren();
  render(html`<${App} />`, root);
}

async function begin() {
  // All at once: the first view waits for the slowest of them, not for their sum. Who is not signed in is refused twice more.
  await Promise.all([loadTexts(), readSession().catch(() => undefined), refresh("verdict", "climate"), loadView(currentPath()[0]).catch(() => undefined)]);
  showApp();
}

// Without its texts the page can say nothing: it tries until the hub gives them.
function beginUntilShown() {
  begin().catch(() => setTimeout(beginUntilShown, AGAIN_MS));
}

beginUntilShown();
