// The words of the page: one catalogue for each language, and numbers and ages in that language.
// Every text that a person reads stands in texts/*.json; what the hub itself says comes in English.

export const LANGUAGES = ["en", "de"];
const CHOICE = "climahub.language";
const MINUTE_S = 60;
const HOUR_S = 3600;
const DAY_S = 86400;
const BEFORE_UNIT = /(\d) (?=(s|min|h|K|V|W|%|°C|dBm)(?!\p{L}))/gu;
const NUMBER = /^\d{1,3}(,\d{3})+$|^\d+\.\d+$/; // As the hub writes one with separators.

let texts = {};
let hubTexts = {}; // What the hub itself says, by the number of its English; none in English.
const made = {}; // By document: how the hub made each of its texts that have values in them.
let language = "en";
let plural = new Intl.PluralRules(language);

function chosen() {
  try {
    return localStorage.getItem(CHOICE);
  } catch {
    return null; // A browser may forbid storage.
  }
}

export async function loadTexts() {
  const wanted = [chosen(), ...navigator.languages].map((each) => (each ?? "").slice(0, 2));
  language = wanted.find((each) => LANGUAGES.includes(each)) ?? "en";
  plural = new Intl.PluralRules(language);
  [texts, hubTexts] = await Promise.all([
    load(language).then(async (answer) => byKey(await answer.text())),
    language === "en" ? {} : load(`${language}-hub`).then((answer) => answer.json()).catch(() => ({})), // Without it the hub speaks English.
  ]);
  document.documentElement.lang = language;
}

const load = (name) => fetch(new URL(`texts/${name}.json`, import.meta.url));

// A catalogue comes as lines: texts whose keys the scripts have as numbers, then the others by groups, the group first and
// "name=text" after it (agent/port/page_minifier.py).
function byKey(catalogue) {
  const [numbered, ...groups] = catalogue.split("\n\n").map((lines) => lines.split("\n"));
  return { ...numbered, ...Object.fromEntries(groups.flatMap(([group, ...named]) => named.map((line) => `${group}.${line}`.split(/=(.*)/)))) };
}

// A number and its unit stay in one line.
const joinUnits = (text) => text.replace(BEFORE_UNIT, "$1\u00a0");

// Its translations come by the numbers of its English texts, which are shorter (agent/port/page_minifier.py).
const textNumber = (text) => [...text].reduce((number, character) => (Math.imul(31, number) + character.codePointAt()) >>> 0, 0);

// Remember how the hub made the texts of a document.
export function learn(document, phrases = {}) {
  made[document] = phrases;
}

// What the hub says, in the language of the page; its English where the catalogue does not know it.
export const say = (text) => joinUnits(translated(text));

function translated(text) {
  const phrase = Object.values(made).find((each) => each[text])?.[text];
  const template = hubTexts[textNumber(phrase?.key ?? text)];
  if (template === undefined) return NUMBER.test(text) ? number(Number(text.replaceAll(",", "")), text.split(".")[1]?.length ?? 0) : text;
  // A zone has the name that people gave it: a bathroom may be called "bad".
  let said = template.replace(/\{(\w+)\}/g, (_, name) => (name === "zone" ? phrase.parameters.zone : translated(phrase.parameters[name])));
  // As the hub makes a sentence of a phrase.
  if (/^\p{Lu}/u.test(text)) said = said[0].toUpperCase() + said.slice(1);
  return text.endsWith(".") && !/[.!?]$/.test(said) ? `${said}.` : said;
}

// The language of what the hub says: English where it is not translated, else that of the page.
export function langOf(text) {
  return translated(text) === text ? "en" : null;
}

export function currentLanguage() {
  return language;
}

export function chooseLanguage(wanted) {
  try {
    localStorage.setItem(CHOICE, wanted);
  } catch {
    // It holds until the page is closed.
  }
  location.reload();
}

// The text of a key, with {names} filled in. A missing key shows itself: tests/unit/test_page.py finds it first.
export function t(key, values = {}) {
  return joinUnits((texts[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole));
}

// A text that depends on a count: KEY.one or KEY.other.
export function tn(key, count, values = {}) {
  return t(`${key}.${plural.select(count) === "one" ? "one" : "other"}`, { count: number(count, 0), ...values });
}

// The text of a word that the hub uses as a state; the word itself where the catalogue does not know it.
export function word(group, value) {
  return texts[`${group}.${value}`] ?? String(value ?? "").replaceAll("_", " ");
}

export function number(value, digits = 1) {
  return value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function degrees(value) {
  return value == null ? t("value.none") : t("value.degrees", { value: number(value) });
}

const DIGITS = { "°C": 1, "%": 0, V: 2, kPa: 1 };

export function measured(value, unit) {
  if (value == null) return t("value.none");
  if (unit === "°C") return degrees(value);
  if (unit === "") return t(value ? "mains.on" : "mains.off"); // Mains power, and nothing else, has none.
  return `${number(value, DIGITS[unit] ?? 0)}\u00a0${unit}`;
}

export function bytes(count) {
  const [unit, size] = count >= 2 ** 20 ? ["MiB", 2 ** 20] : count >= 1024 ? ["KiB", 1024] : ["B", 1];
  return `${number(count / size, size > 1 && count / size < 10 ? 1 : 0)}\u00a0${unit}`;
}

export function megabytes(count) {
  return count < 1e5 ? `${number(count / 1e3, 0)}\u00a0kB` : `${number(count / 1e6, 1)}\u00a0MB`;
}

// A span of time in its largest unit, as people say it.
export function duration(seconds) {
  if (seconds < 100) return t("time.seconds", { count: Math.round(seconds) });
  if (seconds < 100 * MINUTE_S) return t("time.minutes", { count: Math.round(seconds / MINUTE_S) });
  if (seconds < 48 * HOUR_S) return t("time.hours", { count: Math.round(seconds / HOUR_S) });
  return t("time.days", { count: Math.round(seconds / DAY_S) });
}

export function ago(seconds) {
  return seconds == null ? t("time.never") : t("time.ago", { time: duration(seconds) });
}

// A moment in the house's zone: the time today, with the weekday within a week, with the date beyond; or only the date.
export function moment(text, zone, isDate) {
  const at = new Date(text);
  const days = Math.abs(at - Date.now()) / 1000 / DAY_S;
  const date = { day: "numeric", month: "short" };
  const options = isDate ? date : { ...(days < 0.5 ? {} : days < 6 ? { weekday: "short" } : date), hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  try {
    return at.toLocaleString(language, { ...options, timeZone: zone || undefined });
  } catch {
    return at.toLocaleString(language, options);
  }
}

// The short names of the days, Monday first.
export function weekdays(width = "short") {
  const format = new Intl.DateTimeFormat(language, { weekday: width, timeZone: "UTC" });
  return Array.from({ length: 7 }, (_, day) => format.format(new Date(Date.UTC(2024, 0, 1 + day))));
}
