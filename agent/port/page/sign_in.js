// The sign-in screen: one code, typed from the sheet or the terminal. Must never store the code.

import { signIn } from "./api.js";
import { Form, Head, Input, html, useState } from "./ui.js";
import { duration, t, tn } from "./words.js";

const GROUP = 4;
const CHARACTERS = 16;

// The code as it is printed: groups of four, in capitals.
function grouped(text) {
  const plain = text.toUpperCase().replace(/[^A-Z0-9]/g, "").slice(0, CHARACTERS);
  return (plain.match(new RegExp(`.{1,${GROUP}}`, "g")) ?? []).join("-");
}

// What the hub refused, in the language of the page: the code was wrong, how many tries are left, how long to wait.
function said({ code, message, problem }) {
  if (!["wrong_code", "no_code", "too_many_tries"].includes(code)) return message;
  const { retry_after_s, tries_left } = problem;
  return [t(`sign_in.${code}`), retry_after_s ? t("sign_in.wait", { time: duration(retry_after_s) }) : tries_left > 0 && tn("sign_in.left", tries_left)].filter(Boolean).join(" ");
}

export function SignIn() {
  const [code, setCode] = useState("");
  const type = (event) => {
    const { value, selectionStart } = event.target;
    // Only what is typed at the end is grouped: in the middle the cursor would jump.
    setCode(selectionStart === value.length && value.length > code.length ? grouped(value) : value.toUpperCase());
  };
  const send = () => signIn(code).catch((error) => {
    error.message = said(error);
    throw error;
  });
  return html`<div class="sign-in card stack">
    <${Head} title=${t("sign_in.title")} back="" />
    <p>${t("sign_in.how")}</p>
    <${Form} label=${t("sign_in.send")} send=${send}>
      <${Input} id="code" class="code" label=${t("sign_in.code")} hint=${t("sign_in.hint")} bind=${[code, null]} onInput=${type} required autofocus
        autocapitalize="characters" placeholder="XXXX-XXXX-XXXX-XXXX" maxlength="40" />
    </${Form}>
    <p class="small soft">${t("sign_in.where")} <code>sudo climahub port code --new</code></p>
  </div>`;
}
