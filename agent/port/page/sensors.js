// Every sensor that the hub reads: value, age, battery, link, and what is wrong with it.

import { Sparkline } from "./chart.js";
import { ageNow, useDocuments, useTick } from "./live.js";
import { levelOfSensor, places } from "./tiles.js";
import { Card, Head, Level, Note, Said, Waiting, html, useFetched } from "./ui.js";
import { ago, measured, number, t, word } from "./words.js";

const LQI_MAX = 255;
const LQI_WEAK = 80; // Below a third of the scale frames are lost often.
const BATTERY_LOW_PERCENT = 15;

export function Link({ lqi }) {
  if (lqi == null) return null;
  return html`<span class="row small">${t("sensors.link")} <meter max=${LQI_MAX} low=${LQI_WEAK} value=${lqi} aria-label=${t("sensors.link")} class="short"></meter> ${number(lqi, 0)}</span>`;
}

const CHANNELS_MAX = 32; // The hub answers as many at once.

const channelOf = (sensor) => `sensor/${sensor.device || "hub"}/${sensor.sensor}/${sensor.kind}`;

// The last day of each channel, by its name.
function useDay(status) {
  const channels = (status?.sensors ?? []).filter((sensor) => sensor.kind === "temperature" || sensor.kind === "humidity").map(channelOf).slice(0, CHANNELS_MAX);
  const [report] = useFetched(`/v1/history?${new URLSearchParams({ channels: channels.join(","), points: 96 })}`);
  return new Map(report?.series.map((series) => [series.channel, series.mean]));
}

function Reading({ sensor, day }) {
  const level = levelOfSensor(sensor);
  return html`<li class="reading">
    <span>${word("kind", sensor.kind)} ${!sensor.device && html`<small class="soft">${sensor.sensor}</small>`}</span>
    <strong>${measured(sensor.value, sensor.unit)}</strong>
    <span class="soft small">${ago(ageNow("status", sensor.age_s))}</span>
    ${day && html`<div class="whole"><${Sparkline} values=${day} label=${t("sensors.day")} /></div>`}
    ${level !== "ok" && html`<${Level} level=${level} text=${sensor.quality ? t(`quality.${sensor.quality}`) : t("sensors.no_value")} />`}
    ${sensor.kind === "battery_level" && sensor.value != null && html`<meter max="100" low=${BATTERY_LOW_PERCENT} value=${sensor.value} aria-label=${t("kind.battery_level")}></meter>`}
    <div class="small soft whole"><${Said}>${sensor.problem || sensor.reason}</${Said}></div>
  </li>`;
}

export default function Sensors() {
  const { status, zigbee } = useDocuments();
  const days = useDay(status);
  useTick();
  if (!status) return html`<${Waiting} />`;
  return html`<div class="stack">
    <${Head} title=${t("sensors.title")} />
    ${status.sensors.length === 0 && html`<p>${t("sensors.none")}</p>`}
    ${status.unread_sensors.map((text) => html`<${Note} level="warn"><${Said}>${text}</${Said}></${Note}>`)}
    <div class="cards">${places(status, zigbee).map((place) => html`<${Card} key=${place.device} title=${place.name} level=${{ level: place.level }}>
      <${Said} level="warn">${place.problem}</${Said}>
      <ul class="rows">${place.sensors.map((sensor) => html`<${Reading} key=${sensor.sensor + sensor.kind} sensor=${sensor} day=${days.get(channelOf(sensor))} />`)}</ul>
      ${place.link && html`<div class="row"><${Link} lqi=${place.link.lqi_last_hop} /><a class="end" href="#/zigbee/${place.device}">${t("sensors.device")}</a></div>`}
    </${Card}>`)}</div>
  </div>`;
}
