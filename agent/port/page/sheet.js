// The sheet that stays with the hub in the house, on one page of paper: as `climahub setup --sheet` writes it.
// The owner's code is on it only where it was just made here: the hub cannot show it again.

import { post } from "./api.js";
import { useConfig, valueOf } from "./settings.js";
import { Act, Facts, Head, Waiting, html, joined, useFetched, useState } from "./ui.js";
import { t } from "./words.js";

export default function Sheet() {
  const [port] = useFetched("/v1/port");
  const [config] = useConfig();
  const [code, setCode] = useState("");
  if (!port || !config) return html`<${Waiting} />`;
  const relays = valueOf(config, "board.linux.relays");
  const lineOf = (zone) => {
    const relay = relays.find(({ name }) => name === zone.id);
    return relay && t("sheet.line", { line: relay.heat_line ?? relay.cool_line });
  };
  return html`<div class="stack">
    <${Head} title=${t("sheet.title")} back="#/access" backTitle=${t("access.title")} />
    <div class="buttons">
      <${Act} role="owner" label=${t("access.new_code")} question=${t("access.new_code_question")} act=${async () => setCode((await post("/v1/codes/owner", { replace: true })).code)} />
      <button class="main" onClick=${() => window.print()}>${t("act.print")}</button>
    </div>
    <section class="card stack" aria-label=${t("sheet.title")}>
      ${port.sheet_address && html`<img src="/v1/port/qr" width="160" height="160" alt=${port.sheet_address} />`}
      <${Facts} facts=${[
        [t("sensors.hub"), port.name],
        [t("cloud.title"), valueOf(config, "cloud.base_url")],
        ...port.sheet_addresses.map((address) => [t("sheet.page"), address]),
        [t("sheet.certificate"), port.fingerprint && `SHA-256 ${port.fingerprint}`],
        [t("sheet.code"), code && html`<span class="code">${code}</span>`],
        ...valueOf(config, "climate.zones").map((zone) => [zone.id, joined(...zone.sensors, lineOf(zone))]),
      ]} />
      <p><strong>${t("sheet.warning")}</strong></p>
    </section>
  </div>`;
}
