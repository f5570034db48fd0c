// The sign-in screen: one code, typed from the sheet or the terminal. Must never store the code.

import { signIn } from "./api.js";
import { Form, Head, Input, html, useState } from "./ui.js";
import { t } from "./words.js";

const GROUP = 4;
const CHARACTERS = 16;

// The code as it is printed: groups of four, in capitals.
function grouped(text) {
  const plain = text.toUpperCase().replace(/[^A-Z0-9]/g, "").slice(0, CHARACTERS);
  return (plain.match(new RegExp(`.{1,${GROUP}}`, "g")) ?? []).join("-");
}

export function SignIn() {
  const [code, setCode] = useState("");
  const type = (event) => {
    const { value, selectionStart } = event.target;
    // Only what is typed at the end is grouped: in the middle the cursor would jump.
    setCode(selectionStart === value.length && value.length > code.length ? grouped(value) : value.toUpperCase());
  };
  return html`<div class="sign-in card stack">
    <${Head} title=${t("sign_in.title")} back="" />
    <p>${t("sign_in.how")}</p>
    <${Form} label=${t("sign_in.send")} send=${() => signIn(code)}>
      <${Input} id="code" class="code" label=${t("sign_in.code")} hint=${t("sign_in.hint")} bind=${[code, null]} onInput=${type} required autofocus
        autocapitalize="characters" placeholder="XXXX-XXXX-XXXX-XXXX" maxlength="40" />
    </${Form}>
    <p class="small soft">${t("sign_in.where")} <code>sudo climahub port code --new</code></p>
  </div>`;
}
