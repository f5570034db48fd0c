// Requests to the hub, and who is signed in. Must never keep a code or a cookie: the browser holds the session.

import { t } from "./words.js";

const ANSWER_S_MAX = 20;
const ROLES = ["viewer", "service", "owner"];

// A request that the hub refused, or did not answer (status 0). The message is for people.
export class Refused extends Error {
  constructor(status, code, message, problem) {
    super(message);
    Object.assign(this, { status, code, problem });
  }
}

let session = null;
const listeners = new Set();

export function currentSession() {
  return session;
}

export function onSession(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function setSession(next) {
  session = next;
  for (const listener of listeners) listener(next);
}

// Whether the signed-in person may do what needs this role.
export function may(role) {
  return session !== null && ROLES.indexOf(session.role) >= ROLES.indexOf(role);
}

async function send(method, path, body, timeout_s) {
  const isJson = body !== undefined && !(body instanceof Blob);
  const headers = method === "GET" ? {} : { "Content-Type": isJson || !body ? "application/json" : "application/octet-stream" };
  try {
    return await fetch(path, {
      method,
      headers,
      body: isJson ? JSON.stringify(body) : body,
      cache: "no-store",
      signal: AbortSignal.timeout(timeout_s * 1000),
    });
  } catch {
    throw new Refused(0, "no_answer", t("error.no_answer"));
  }
}

async function refusal(answer) {
  const problem = await answer.json().catch(() => ({}));
  const message = problem.detail || t("error.status", { status: answer.status });
  return new Refused(answer.status, problem.error ?? "", message, problem);
}

// The document that the hub answers with; nothing for an empty answer.
export async function ask(method, path, body, { timeout_s = ANSWER_S_MAX } = {}) {
  const answer = await send(method, path, body, timeout_s);
  if (!answer.ok) {
    const refused = await refusal(answer);
    if (answer.status === 401 && session) setSession(null);
    throw refused;
  }
  return (answer.headers.get("Content-Type") ?? "").includes("json") ? answer.json() : answer;
}

export const get = (path, options) => ask("GET", path, undefined, options);
export const post = (path, body, options) => ask("POST", path, body, options);

export async function readSession() {
  try {
    setSession(await get("/v1/session"));
  } catch (error) {
    if (error.status !== 401) throw error;
    setSession(null);
  }
}

export async function signIn(code) {
  await post("/v1/session", { code });
  await readSession();
}

export async function signOut() {
  await ask("DELETE", "/v1/session");
  setSession(null);
}
