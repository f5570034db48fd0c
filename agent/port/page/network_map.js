// The links of the Zigbee network as a picture: the better the last hop, the nearer to the hub. The hub knows the quality
// of the last hop, not the whole way, so no line pretends to be a route.

import { html } from "./ui.js";
import { t } from "./words.js";

const SIZE = 400;
const MIDDLE = SIZE / 2;
const NEAR = 62;
const FAR = 150;
const LQI_MAX = 255;
const NAME_CHARACTERS = 14;

// The members around the hub: {device, name, lqi, isRouter, isOnline, x, y}. Pure.
export function placed({ sensors, routers, others }) {
  const members = [
    ...sensors.map(({ device, name, lqi_last_hop, is_online }) => ({ device, name, lqi: lqi_last_hop, isRouter: false, isOnline: is_online })),
    ...[...routers, ...others].map(({ device, about, lqi_last_hop, is_online }) => ({ device, name: about || device.slice(-4), lqi: lqi_last_hop, isRouter: true, isOnline: is_online })),
  ];
  return members.map((member, at) => {
    const angle = (2 * Math.PI * at) / members.length - Math.PI / 2;
    const far = NEAR + (FAR - NEAR) * (1 - (member.lqi ?? 0) / LQI_MAX);
    return { ...member, x: MIDDLE + far * Math.cos(angle), y: MIDDLE + far * Math.sin(angle) };
  });
}

export function NetworkMap({ zigbee }) {
  const members = placed(zigbee);
  if (members.length === 0) return null;
  return html`<section class="card stack" aria-labelledby="map">
    <h2 id="map">${t("map.title")}</h2>
    <svg class="map" viewBox="0 0 ${SIZE} ${SIZE}" role="img" aria-label=${t("map.about")}>
      <circle class="ring" cx=${MIDDLE} cy=${MIDDLE} r=${FAR} />
      ${members.map((member) => html`<line class=${member.isOnline === false ? "gone" : ""} x1=${MIDDLE} y1=${MIDDLE} x2=${member.x} y2=${member.y} />`)}
      <circle class="hub" cx=${MIDDLE} cy=${MIDDLE} r="16" />
      ${members.map((member) => html`<g class=${member.isOnline === false ? "gone" : ""}>
        ${member.isRouter
          ? html`<rect x=${member.x - 9} y=${member.y - 9} width="18" height="18" rx="3" />`
          : html`<circle class="member" cx=${member.x} cy=${member.y} r="10" />`}
        <text x=${member.x} y=${member.y + 27} text-anchor="middle">${member.name.slice(0, NAME_CHARACTERS)}</text>
      </g>`)}
    </svg>
    <p class="small soft">${t("map.hint")}</p>
  </section>`;
}
