// A schedule as a picture of the week: choose a block, then drag it, type its times, or move it with the arrow keys.
// Nothing reaches the hub before it is saved. Decides nothing about times: week_model.js does.

import { may } from "./api.js";
import { useDocuments } from "./live.js";
import { Stepper, change } from "./rooms.js";
import { nameOf } from "./tiles.js";
import { Act, Head, Input, Waiting, announce, html, leave, useRef, useState, useUnsaved } from "./ui.js";
import { DAYS, DAY_MIN, STEP_MIN, addBlock, changeBlock, firstWeek, isOverMidnight, lengthOf, moveBlock, moveEdge, pieces, removeBlock, toMinutes, toggleDay } from "./week_model.js";
import { degrees, number, t, weekdays } from "./words.js";

const HOURS = [0, 6, 12, 18, 24];
const COLD_C = 15;
const WARM_C = 23;
const DRAG_PX_MIN = 4;
const NOON_MIN = 720;

const percent = (minutes) => `${(100 * minutes) / DAY_MIN}%`;
const warmth = (block) => Math.round(100 * Math.min(1, Math.max(0, (block.heat_setpoint_c - COLD_C) / (WARM_C - COLD_C))));

// The picture itself. For eyes and pointers; the list below says the same to a screen reader and to the keyboard.
function Picture({ blocks, chosen, choose, edit }) {
  const drag = useRef(null);
  const names = weekdays();

  const begin = (event, index) => {
    if (index !== chosen) return choose(index);
    if (!edit) return undefined;
    const track = event.currentTarget.parentElement.getBoundingClientRect();
    const isUpright = track.height > track.width;
    const at = isUpright ? event.clientY : event.clientX;
    drag.current = { index, at, isUpright, blocks, what: event.target.dataset.edge, perPx: DAY_MIN / (isUpright ? track.height : track.width), from: isUpright ? track.top : track.left };
    event.currentTarget.setPointerCapture(event.pointerId);
    return undefined;
  };
  const move = (event) => {
    const { index, at, isUpright, what, perPx, from, blocks: before } = drag.current ?? {};
    const here = isUpright ? event.clientY : event.clientX;
    if (before === undefined || Math.abs(here - at) < DRAG_PX_MIN) return;
    const minute = Math.min(DAY_MIN, Math.max(0, (here - from) * perPx)) + (what === "end" && isOverMidnight(before[index]) ? DAY_MIN : 0);
    edit(what ? moveEdge(before, index, what, minute) : moveBlock(before, index, (here - at) * perPx));
  };
  const end = () => {
    drag.current = null;
  };

  return html`<div class="week" aria-hidden="true">
    <div class="hours"><span></span><div>${HOURS.map((hour) => html`<span style=${{ "--from": percent(hour * 60) }}>${number(hour, 0)}</span>`)}</div></div>
    ${pieces(blocks).map((day, at) => html`<div class="day"><span>${names[at]}</span><div class="track">
      ${day.map((piece) => html`<div class="piece ${piece.isGap ? "gap" : ""} ${piece.index === chosen ? "chosen" : ""}"
        style=${{ "--from": percent(piece.from), "--size": percent(piece.to - piece.from), "--warmth": `${warmth(blocks[piece.index])}%` }}
        onPointerDown=${(event) => begin(event, piece.index)} onPointerMove=${move} onPointerUp=${end} onPointerCancel=${end}>
        <b>${number(blocks[piece.index].heat_setpoint_c, blocks[piece.index].heat_setpoint_c % 1 ? 1 : 0)}°</b>
        ${edit && piece.index === chosen && !piece.isGap && edgesOf(piece, blocks[chosen]).map((edge) => html`<i data-edge=${edge}></i>`)}
      </div>`)}
    </div></div>`)}
  </div>`;
}

// Where a block is cut, by midnight or by another block, it has no edge to drag.
function edgesOf(piece, block) {
  return [piece.from === toMinutes(block.start) && "start", piece.to % DAY_MIN === toMinutes(block.end) && "end"].filter(Boolean);
}

function daysText(block) {
  const days = block.days ?? DAYS;
  const names = weekdays();
  return days.length === DAYS.length ? t("week.every_day") : days.map((day) => names[DAYS.indexOf(day)]).join(", ");
}

function List({ blocks, chosen, choose, edit }) {
  const press = (event, index) => {
    const by = { ArrowLeft: -STEP_MIN, ArrowRight: STEP_MIN }[event.key];
    if (!edit || (!by && event.key !== "Delete")) return;
    event.preventDefault();
    choose(index);
    if (!by) return edit(removeBlock(blocks, index));
    const block = blocks[index];
    const next = event.shiftKey ? moveEdge(blocks, index, "end", toMinutes(block.start) + lengthOf(block) + by) : moveBlock(blocks, index, by);
    announce(`${next[index].start} – ${next[index].end}`);
    return edit(next);
  };
  return html`<ul class="stack blocks" aria-label=${t("week.blocks")}>
    ${blocks.map((block, index) => html`<li key=${index}><button aria-pressed=${index === chosen} aria-describedby="week-keys"
      onClick=${() => choose(index)} onKeyDown=${(event) => press(event, index)}>
      <span class="grow"><strong>${block.label || t("value.none")}</strong> <span class="small">${daysText(block)}</span></span>
      <span>${block.start} – ${block.end}${isOverMidnight(block) && ` ${t("week.next_day")}`}</span><span>${degrees(block.heat_setpoint_c)}</span>
    </button></li>`)}
  </ul>`;
}

function Editor({ blocks, index, edit, choose, mode }) {
  const block = blocks[index];
  const set = (changes) => edit(changeBlock(blocks, index, changes));
  const long = weekdays("long");
  const hours = lengthOf(block) / 60;
  const time = (name) => html`<${Input} id="block-${name}" type="time" required label=${t(`week.${name}`)} bind=${[block[name], (value) => value && set({ [name]: value })]} />`;
  return html`<div class="card stack" role="group" aria-label=${t("week.block")}>
    <${Input} id="block-label" maxlength="64" label=${t("week.label")} bind=${[block.label, (label) => set({ label })]} />
    <div class="pair">${time("start")}${time("end")}</div>
    <p class="hint" role="status">${t(isOverMidnight(block) ? "week.lasts_over" : "week.lasts", { hours: number(hours, hours % 1 ? 2 : 0) })}</p>
    <${Stepper} label=${t("rooms.setpoint_heat")} bind=${[block.heat_setpoint_c, (heat_setpoint_c) => set({ heat_setpoint_c, cool_setpoint_c: Math.max(block.cool_setpoint_c, heat_setpoint_c + 1) })]} />
    ${(mode === "cool" || mode === "auto") && html`<${Stepper} label=${t("rooms.setpoint_cool")} bind=${[block.cool_setpoint_c, (cool_setpoint_c) => set({ cool_setpoint_c, heat_setpoint_c: Math.min(block.heat_setpoint_c, cool_setpoint_c - 1) })]} />`}
    <fieldset><legend>${t("week.days")}</legend><div class="segments">
      ${DAYS.map((day, at) => html`<button class="day-button" aria-label=${long[at]} aria-pressed=${(block.days ?? DAYS).includes(day)} onClick=${() => edit(toggleDay(blocks, index, day))}>${weekdays()[at]}</button>`)}
    </div></fieldset>
    <div class="buttons">
      <button class="danger" onClick=${() => { choose(null); edit(removeBlock(blocks, index)); }}>${t("week.remove_block")}</button>
    </div>
  </div>`;
}

function Schedule({ zone, schedule, isNew, close }) {
  const [draft, setDraft] = useState(null);
  const [name, setName] = useState(schedule.name);
  const [chosen, choose] = useState(null);
  const isChanged = Boolean(isNew || draft || name !== schedule.name);
  useUnsaved(isChanged);
  const blocks = draft ?? schedule.blocks;
  const edit = may("service") ? setDraft : null;
  const isFollowed = zone.schedule === schedule.name;
  const add = () => {
    const day = chosen === null ? 0 : DAYS.indexOf((blocks[chosen].days ?? DAYS)[0]);
    edit(addBlock(blocks, day, NOON_MIN, NOON_MIN + 120, t("week.new_label"), zone));
    choose(blocks.length);
  };
  const save = async () => {
    const isOther = isNew || name !== schedule.name;
    if (isOther && zone.schedules.some((each) => each.name === name)) throw new Error(t("week.name_taken"));
    await change(zone.zone, { do: "put_schedule", schedule: { name, blocks }, is_followed: isFollowed || !zone.schedule });
    setDraft(null);
    close(name);
    if (isOther && !isNew) await change(zone.zone, { do: "drop_schedule", name: schedule.name });
  };
  const discard = () => {
    setDraft(null);
    setName(schedule.name);
    choose(null);
    close();
  };
  return html`<div class="stack">
    ${edit && html`<${Input} id="week-name" maxlength="64" label=${t("week.name")} bind=${[name, setName]} />`}
    <div class="columns">
      <div class="stack">
        <${Picture} blocks=${blocks} chosen=${chosen} choose=${choose} edit=${edit} />
        <p class="hint" id="week-keys">${edit ? t("week.keys") : t("rooms.look_only")}</p>
        <${List} blocks=${blocks} chosen=${chosen} choose=${choose} edit=${edit} />
        ${edit && html`<div class="buttons"><button onClick=${add}>${t("week.add")}</button></div>`}
      </div>
      ${edit && chosen !== null && blocks[chosen] && html`<${Editor} blocks=${blocks} index=${chosen} edit=${edit} choose=${choose} mode=${zone.mode} />`}
    </div>
    ${isChanged && html`<div class="note warn tight save"><p>${t("week.unsaved")}</p><div class="buttons">
      <${Act} kind="main" role="service" label=${t("week.save")} act=${save} />
      <button onClick=${discard}>${t("week.discard")}</button>
    </div></div>`}
  </div>`;
}

function Schedules({ zone }) {
  const [name, setName] = useState(zone.schedule || zone.schedules[0]?.name || "");
  const [fresh, setFresh] = useState(null); // A week that the hub does not know yet.
  const schedule = fresh ?? zone.schedules.find((each) => each.name === name) ?? zone.schedules[0];
  const send = (request) => () => change(zone.zone, request);
  const begin = () => {
    const blocks = firstWeek({ day: t("week.day"), night: t("week.night") }, zone);
    const taken = zone.schedules.map((each) => each.name);
    let free = t("week.first_name");
    for (let number = 2; taken.includes(free); number++) free = `${t("week.first_name")} ${number}`;
    setFresh({ name: free, blocks });
  };
  const close = (saved) => {
    setFresh(null);
    if (saved) setName(saved);
  };
  return html`<div class="stack">
    ${schedule
      ? html`${!fresh && html`<div class="row">
          ${zone.schedules.length > 1 && html`<${Input} id="schedule" kind="select" label=${t("week.title")} bind=${[schedule.name, (wanted) => leave(() => setName(wanted))]}>
            ${zone.schedules.map((each) => html`<option value=${each.name}>${each.name}</option>`)}
          </${Input}>`}
          <p class="grow">${zone.schedule === schedule.name ? t("week.follows", { name: schedule.name }) : t("week.not_followed", { name: schedule.name })}</p>
          ${zone.schedule === schedule.name
            ? html`<${Act} role="service" label=${t("week.follow_none")} act=${send({ do: "follow_schedule", name: "" })} />`
            : html`<${Act} role="service" kind="main" label=${t("week.follow")} act=${send({ do: "follow_schedule", name: schedule.name })} />`}
        </div>`}
        <${Schedule} key=${fresh ? "" : schedule.name} zone=${zone} schedule=${schedule} isNew=${fresh !== null} close=${close} />`
      : html`<p>${t("week.empty")}</p>`}
    ${!fresh && html`<div class="buttons">
      ${may("service") && html`<button class=${schedule ? "" : "main"} onClick=${() => leave(begin)}>${t("week.begin")}</button>`}
      ${schedule && html`<${Act} role="service" kind="danger" label=${t("week.drop")} question=${t("week.drop_question", { name: schedule.name })} act=${send({ do: "drop_schedule", name: schedule.name })} />`}
    </div>`}
  </div>`;
}

export default function Week({ parts }) {
  const { climate } = useDocuments();
  if (climate === undefined) return html`<${Waiting} />`;
  const zone = climate?.zones.find((each) => each.zone === parts[0]);
  if (!zone) return html`<${Head} title=${t("missing.room")} />`;
  return html`<div class="stack">
    <${Head} title=${t("week.of", { room: nameOf(zone) })} back="#/rooms/${encodeURIComponent(zone.zone)}" backTitle=${nameOf(zone)} />
    <${Schedules} key=${zone.zone} zone=${zone} />
  </div>`;
}
