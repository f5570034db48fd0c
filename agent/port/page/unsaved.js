// Changes that are not at the hub yet, and the question before they are lost. Must never lose one without it.

import { Ask, html, useEffect, useState } from "./ui.js";
import { t } from "./words.js";

let isUnsaved = false;
let ask = null;

// Leave what is on the screen: at once, or, where something is unsaved, `hold` now and `go` when the person agrees.
export function leave(go, hold) {
  if (!isUnsaved) return go();
  hold?.();
  return ask(go);
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
  ask = (next) => setGo(() => next);
  const agree = () => {
    isUnsaved = false;
    go();
  };
  return go && html`<${Ask} title=${t("unsaved.leave")} question=${t("unsaved.question")} kind="danger" close=${() => setGo(null)} agree=${agree} />`;
}
