// Zones by walking through the house: whoever holds a thermometer in the hand finds out which one hangs in that room.
// The hub names outputs and thermometers, checks the zones and puts them on trial. Keeps every other value of a zone.

import { ask } from "./api.js";
import { useDocuments } from "./live.js";
import { CONFIG, Trial, useConfig, valueOf } from "./settings.js";
import { placeName } from "./tiles.js";
import { Act, Head, Input, Waiting, html, useEffect, usePolled, useState, useUnsaved } from "./ui.js";
import { degrees, t } from "./words.js";

const CHANGE_K_MIN = 0.5; // Several times the noise of a thermometer.
const LEAD = 2; // How many times more than every other.

// The thermometer that somebody has in the hand, as `climahub setup` finds it: it alone has changed much; or nothing. Pure.
export function changedThermometer(before, now) {
  const changes = Object.keys(now).filter((name) => name in before).map((name) => [Math.abs(now[name] - before[name]), name]);
  const [[most, found] = [0], [next] = [0]] = changes.sort(([one], [other]) => other - one);
  return most >= CHANGE_K_MIN && most >= LEAD * next ? found : "";
}

// The zones with other thermometers, by the outputs' names; an output that had no zone becomes one. Pure.
export function withThermometers(zones, chosen) {
  const added = Object.keys(chosen).filter((id) => !zones.some((zone) => zone.id === id));
  return [...zones, ...added.map((id) => ({ id }))].map((zone) => (chosen[zone.id] ? { ...zone, sensors: [chosen[zone.id]], weights: undefined } : zone));
}

function Watch({ now, found }) {
  const [before] = useState(now);
  const name = changedThermometer(before, now);
  useEffect(() => name && found(name), [name]);
  return null;
}

function Zone({ output, zone, thermometers, bind, isWatching, watch, found }) {
  const [said, setSaid] = useState("");
  const documents = useDocuments();
  const take = (name) => {
    found(name);
    setSaid(t("zones.found", { name: placeName(name, documents) }));
  };
  return html`<li class="stack">
    <${Input} id=${output} kind="select" label=${output} bind=${bind}>
      <option value="">${zone?.sensors.join(", ") ?? t("value.none")}</option>
      ${Object.entries(thermometers).map(([name, value]) => html`<option value=${name}>${placeName(name, documents)} (${degrees(value)})</option>`)}
    </${Input}>
    <button aria-label="${t("zones.find")}: ${output}" aria-pressed=${isWatching} onClick=${() => watch(isWatching ? "" : output)}>${t("zones.find")}</button>
    <p role="status">${isWatching ? t("zones.hold") : said}</p>
    ${isWatching && html`<${Watch} now=${thermometers} found=${take} />`}
  </li>`;
}

export default function Zones() {
  const [config, , read] = useConfig();
  const report = usePolled("/v1/tests/sensors"); // Sensors come and go while somebody walks.
  const [chosen, setChosen] = useState({});
  const [watched, watch] = useState(""); // One at a time: there is one hand.
  const isChanged = Object.values(chosen).some(Boolean);
  useUnsaved(isChanged);
  if (!config || !report) return html`<${Waiting} />`;
  const zones = valueOf(config, "climate.zones");
  const choose = (output) => (name) => setChosen((before) => ({ ...before, [output]: name }));
  const found = (output) => (name) => {
    choose(output)(name);
    watch("");
  };
  const save = async () => {
    await ask("PATCH", CONFIG, { changes: { "climate.zones": withThermometers(zones, chosen) } });
    setChosen({});
    await read();
  };
  return html`<div class="stack">
    <${Head} title=${t("zones.title")} back="#/tests" backTitle=${t("tests.title")} />
    <p>${t(config.outputs.length ? "zones.about" : "tests.no_outputs")}</p>
    <${Trial} trial=${config.trial} changed=${read} />
    <ul class="rows">${config.outputs.map((output) => html`<${Zone} key=${output} output=${output} zone=${zones.find(({ id }) => id === output)} thermometers=${report.thermometers}
      bind=${[chosen[output] ?? "", choose(output)]} isWatching=${watched === output} watch=${watch} found=${found(output)} />`)}</ul>
    ${isChanged && html`<p>${t("settings.restarts")}</p><div><${Act} kind="main" role="owner" label=${t("act.save")} act=${save} /></div>`}
  </div>`;
}
