// Lines over time, as SVG: a sparkline in a list, and a chart whose values are read by pointer or arrow keys.

import { html, useEffect, useFetched, useRef, useState } from "./ui.js";
import { measured, moment, number, t } from "./words.js";

const HEIGHT = 220;
const LEFT = 56; // Room for three digits and a unit.
const BOTTOM = 30;
const SPAN_MIN = 1; // Of the values: a line that hardly moves is drawn as one.
const TICKS = 4;
const THREE_LABELS_PX = 360; // A narrower axis has room for two times.
const RANGES_H = ["6", "24", "168"];
const HOUR_S = 3600;
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500];

// The range of all values that are there, at least SPAN_MIN wide. Pure.
export function rangeOf(lists) {
  const values = lists.flat().filter((value) => value != null);
  if (values.length === 0) return null;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const more = Math.max(0, (SPAN_MIN - (high - low)) / 2);
  return { low: low - more, high: high + more };
}

// Round values across a range. Pure.
export function ticksOf({ low, high }) {
  const step = STEPS.find((each) => (high - low) / each <= TICKS) ?? STEPS.at(-1);
  return Array.from({ length: Math.floor(high / step) - Math.ceil(low / step) + 1 }, (_, at) => (Math.ceil(low / step) + at) * step);
}

// The path of a line that has gaps where there is no value. Pure.
export function pathOf(values, x, y) {
  return values.map((value, at) => (value == null ? "" : `${values[at - 1] == null ? "M" : "L"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`)).join("");
}

export function Sparkline({ values, label }) {
  const range = rangeOf([values]);
  if (!range || values.length < 2) return null;
  const y = (value) => 30 - (28 * (value - range.low)) / (range.high - range.low);
  return html`<svg class="spark" viewBox="0 0 200 32" preserveAspectRatio="none" role="img" aria-label=${label}>
    <path d=${pathOf(values, (at) => (200 * at) / (values.length - 1), y)} fill="none" stroke="currentColor" stroke-width="1.5" vector-effect="non-scaling-stroke" />
  </svg>`;
}

// The width of an element in pixels: drawn one to one, a chart has letters of one size on every screen.
function useWidth() {
  const box = useRef(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.round(entry.contentRect.width)));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  return [box, width];
}

// Lines over `report.times` (seconds since 1970): `series` has the `mean` of each line, nothing where it is interrupted.
export function Chart(given) {
  const [box, width] = useWidth();
  return html`<div ref=${box}>${width > 0 && html`<${Drawing} ...${given} width=${width} />`}</div>`;
}

function Drawing({ report, lines, timezone, width, about }) {
  const [at, setAt] = useState(null);
  const { times, series } = report;
  const range = rangeOf(lines.map((_, line) => series[line].mean));
  if (!range || times.length < 2) return html`<p class="soft">${t("history.none")}</p>`;
  const [first, last] = [times[0], times.at(-1)];
  const x = (index) => LEFT + ((width - LEFT) * (times[index] - first)) / (last - first);
  const y = (value) => (HEIGHT - BOTTOM) * (1 - (value - range.low) / (range.high - range.low)) + 8;
  const isDaily = report.time_base === "day";
  const when = (time) => (isDaily || report.time_base === "utc" ? moment(time * 1000, timezone, isDaily) : "");
  const limit = (index) => Math.min(times.length - 1, Math.max(0, index));
  const point = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const there = ((event.clientX - box.left) / box.width) * width;
    setAt(times.reduce((best, _, index) => (Math.abs(x(index) - there) < Math.abs(x(best) - there) ? index : best), 0));
  };
  const press = (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    setAt(limit((at ?? times.length - 1) + by * Math.ceil(times.length / 100)));
  };
  const shown = at ?? times.length - 1;
  return html`<figure class="tight">
    <svg class="chart" viewBox="0 0 ${width} ${HEIGHT}" tabindex="0" role="img" aria-label=${about ?? t("history.about")} onPointerMove=${point} onPointerDown=${point} onKeyDown=${press}>
      ${ticksOf(range).map((tick, each, { length }) => html`<line class="grid" x1=${LEFT} x2=${width} y1=${y(tick)} y2=${y(tick)} /><text x=${LEFT - 6} y=${y(tick) + 4} text-anchor="end">${number(tick, tick % 1 ? 1 : 0)}${each === length - 1 && `\u00a0${lines[0].unit}`}</text>`)}
      ${(width < THREE_LABELS_PX ? [0, 1] : [0, 0.5, 1]).map((part) => html`<text x=${LEFT + part * (width - LEFT)} y=${HEIGHT - 4} text-anchor=${["start", "middle", "end"][part * 2]}>${when(first + part * (last - first))}</text>`)}
      ${lines.map((line, each) => html`<path class="line ${line.tone}" d=${pathOf(series[each].mean, x, y)} />`)}
      ${at !== null && html`<line class="cursor" x1=${x(at)} x2=${x(at)} y1="0" y2=${HEIGHT - BOTTOM} />`}
    </svg>
    <figcaption class="row small" aria-live="polite"><span class="grow">${when(times[shown])}</span>
      ${lines.map((line, each) => html`<span class="line ${line.tone}">${line.name} <b>${measured(series[each].mean[shown], line.unit)}</b></span>`)}
    </figcaption>
  </figure>`;
}

// The history of some channels, [{channel, name, unit, tone}], with a choice of the time.
export function History({ lines, timezone }) {
  const [hours, setHours] = useState("24");
  const names = lines.map((line) => line.channel).join(",");
  const [report, problem] = useFetched(`/v1/history?${new URLSearchParams({ channels: names, from: -hours * HOUR_S, points: 300 })}`);
  return html`<div class="stack">
    <div class="segments">${RANGES_H.map((each) => html`<button aria-pressed=${each === hours} onClick=${() => setHours(each)}>${t(`history.hours_${each}`)}</button>`)}</div>
    ${report?.problem && html`<p lang="en">${report.problem}</p>`}
    ${problem ? html`<p class="soft">${problem}</p>` : report && html`<${Chart} report=${report} lines=${lines} timezone=${timezone} />`}
  </div>`;
}
