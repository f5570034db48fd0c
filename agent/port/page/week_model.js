// The week of a schedule: which block is in force when, and what a gesture changes. Pure: no markup, no requests.
// Blocks are those of the hub (agent/climate/schedule.py): the one that stands last wins, a gap belongs to what was
// before it, and an end that is not after the start is on the next day. Times are minutes of the day, HH:MM in a block.

export const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
export const DAY_MIN = 1440;
export const STEP_MIN = 15;
const WEEK_MIN = 7 * DAY_MIN;
const NOBODY = -1;

export function toMinutes(text) {
  return Number(text.slice(0, 2)) * 60 + Number(text.slice(3));
}

export function toText(minutes) {
  const within = ((minutes % DAY_MIN) + DAY_MIN) % DAY_MIN;
  return [Math.floor(within / 60), within % 60].map((part) => String(part).padStart(2, "0")).join(":");
}

// The length of a block in minutes, 1 to a whole day.
export function lengthOf(block) {
  const length = toMinutes(block.end) - toMinutes(block.start);
  return length > 0 ? length : length + DAY_MIN;
}

export function isOverMidnight(block) {
  return toMinutes(block.start) + lengthOf(block) > DAY_MIN;
}

// For each day the pieces {from, to, index, isGap} in order. Without blocks there are none.
export function pieces(blocks) {
  const owners = new Int16Array(WEEK_MIN).fill(NOBODY);
  blocks.forEach((block, index) => {
    for (const day of block.days ?? DAYS) {
      const start = DAYS.indexOf(day) * DAY_MIN + toMinutes(block.start);
      const length = lengthOf(block);
      for (let minute = start; minute < start + length; minute++) owners[minute % WEEK_MIN] = index;
    }
  });
  let last = owners.findLast((owner) => owner !== NOBODY) ?? NOBODY;
  if (last === NOBODY) return DAYS.map(() => []);
  return DAYS.map((_, day) => {
    const found = [];
    for (let minute = 0; minute < DAY_MIN; minute++) {
      const owner = owners[day * DAY_MIN + minute];
      const isGap = owner === NOBODY;
      if (!isGap) last = owner;
      const piece = found.at(-1);
      if (piece && piece.index === last && piece.isGap === isGap) piece.to = minute + 1;
      else found.push({ from: minute, to: minute + 1, index: last, isGap });
    }
    return found;
  });
}

const snap = (minutes) => Math.round(minutes / STEP_MIN) * STEP_MIN;

function replaced(blocks, index, changes) {
  return blocks.map((block, at) => (at === index ? { ...block, ...changes } : block));
}

export function changeBlock(blocks, index, changes) {
  return replaced(blocks, index, changes);
}

// Move one edge of a block, "start" or "end", to a minute of the day on which it begins; the next day goes on from there.
// No edge passes the other: a block keeps at least one step, and a day at most.
export function moveEdge(blocks, index, edge, minutes) {
  const start = toMinutes(blocks[index].start);
  const end = start + lengthOf(blocks[index]);
  const to = snap(minutes);
  const length = Math.min(DAY_MIN, Math.max(STEP_MIN, edge === "start" ? end - to : to - start));
  return replaced(blocks, index, edge === "start" ? { start: toText(end - length) } : { end: toText(start + length) });
}

// Move a whole block by some minutes; it keeps its length and its days.
export function moveBlock(blocks, index, by) {
  const start = snap(toMinutes(blocks[index].start) + by);
  return replaced(blocks, index, { start: toText(start), end: toText(start + lengthOf(blocks[index])) });
}

// Add a block, with the setpoints of what was in force there. It stands last, so it wins.
export function addBlock(blocks, day, from, to, label, fallback) {
  const [begin, end] = [snap(Math.min(from, to)), snap(Math.max(from, to))];
  const under = pieces(blocks)[day].find((piece) => piece.from <= begin && begin < piece.to);
  const { heat_setpoint_c, cool_setpoint_c } = under ? blocks[under.index] : fallback;
  const block = { label, start: toText(begin), end: toText(Math.max(end, begin + STEP_MIN)), heat_setpoint_c, cool_setpoint_c, days: [DAYS[day]] };
  return [...blocks, block];
}

export function removeBlock(blocks, index) {
  return blocks.filter((_, at) => at !== index);
}

// Put a day into a block or take it out; the last day stays.
export function toggleDay(blocks, index, day) {
  const days = blocks[index].days ?? DAYS;
  const next = DAYS.filter((each) => (each === day ? !days.includes(each) : days.includes(each)));
  return next.length ? replaced(blocks, index, { days: next }) : blocks;
}

// A week to begin with: warm mornings and evenings.
export function firstWeek(names, { heat_setpoint_c, cool_setpoint_c }) {
  const low = Math.max(4, heat_setpoint_c - 3);
  return [
    { label: names.day, start: "06:30", end: "22:00", heat_setpoint_c, cool_setpoint_c, days: DAYS },
    { label: names.night, start: "22:00", end: "06:30", heat_setpoint_c: low, cool_setpoint_c, days: DAYS },
  ];
}
