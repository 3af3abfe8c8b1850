// Intl, after https://tc39.es/ecma402/, as far as polling code needs it: dates in time zones, numbers, and the order of
// texts, in a few locales. A locale or option that is not known here throws a RangeError that names it. No value is a
// guess.

const LOCALES = {
  __proto__: null,
  "en-US": { date: "M/D/Y", glue: ", ", hours: 12, half: ["AM", "PM"], group: ",", point: "." },
  "en-GB": { date: "D/M/Y", padded: true, glue: ", ", hours: 24, half: ["am", "pm"], group: ",", point: "." },
  "en-CA": { date: "Y-M-D", padded: true, glue: ", ", hours: 12, half: ["a.m.", "p.m."], group: ",", point: "." },
  "de-DE": { date: "D.M.Y", glue: ", ", hours: 24, group: ".", point: "," },
  "sv-SE": { date: "Y-M-D", padded: true, glue: " ", hours: 24, group: "\u00a0", point: ",", minus: "\u2212" },
};
const SHORT_TAGS = { __proto__: null, en: "en-US", de: "de-DE", sv: "sv-SE" };
const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const unknown = (what) => { throw new RangeError(`Intl does not know ${what} here`); };

function localeOf(locales) {
  const wanted = locales === undefined ? [] : typeof locales === "string" ? [locales] : [...locales];
  const tag = wanted.length === 0 ? "en-US" : `${wanted[0]}`;
  const found = Object.keys(LOCALES).find((one) => one.toLowerCase() === tag.toLowerCase()) ?? SHORT_TAGS[tag.toLowerCase()];
  return found ?? unknown(`the locale '${tag}' (it knows ${Object.keys(LOCALES).join(", ")})`);
}
function chosen(options, name, values) {
  const value = options[name];
  if (value === undefined) return undefined;
  return values.includes(`${value}`) ? `${value}` : unknown(`the option ${name}: '${value}'`);
}
const none = (options, ...names) => {
  for (const name of names) if (options[name] !== undefined) unknown(`the option ${name}`);
};
function supportedLocales(locales) {
  const wanted = locales === undefined ? [] : typeof locales === "string" ? [locales] : [...locales];
  return wanted.filter((tag) => {
    try { return localeOf(tag) !== undefined; } catch { return false; }
  });
}

// Dates.

const { getTime } = Date.prototype;
const pad = (number, width = 2) => string(number).padStart(width, "0");
function zoneOf(timeZone) {
  if (timeZone === undefined) return "UTC";
  const text = `${timeZone}`;
  const [, sign, hours, minutes = "00"] = /^([+-])(\d\d):?(\d\d)?$/.exec(text) ?? [];
  if (sign !== undefined && +hours < 24 && +minutes < 60) return `${sign}${hours}:${minutes}`;
  return zoneName(text) ?? unknown(`the time zone '${text}'`);
}
function offsetAt(zone, time) { // in seconds
  const [, sign, hours, minutes] = /^([+-])(\d\d):(\d\d)$/.exec(zone) ?? [];
  if (sign !== undefined) return (sign === "-" ? -60 : 60) * (+hours * 60 + +minutes);
  return +zoneOffset(zone, string(time));
}
function offsetText(seconds, long) {
  const minutes = Math.trunc(Math.abs(seconds) / 60);
  const sign = seconds < 0 ? "-" : "+";
  if (long) return `GMT${sign}${pad(Math.trunc(minutes / 60))}:${pad(minutes % 60)}`;
  return `GMT${sign}${Math.trunc(minutes / 60)}${minutes % 60 === 0 ? "" : `:${pad(minutes % 60)}`}`;
}

const WIDTHS = ["numeric", "2-digit"];
const WORDS = ["short", "long"];
const STYLES = ["full", "long", "medium", "short"];
function dateOptions(options, needed, defaults) {
  const made = {
    weekday: chosen(options, "weekday", WORDS), year: chosen(options, "year", WIDTHS),
    month: chosen(options, "month", [...WIDTHS, ...WORDS]), day: chosen(options, "day", WIDTHS),
    hour: chosen(options, "hour", WIDTHS), minute: chosen(options, "minute", WIDTHS), second: chosen(options, "second", WIDTHS),
    fraction: options.fractionalSecondDigits === undefined ? 0 : enforcedRange(options.fractionalSecondDigits, 3),
    zone: chosen(options, "timeZoneName", ["shortOffset", "longOffset"]),
    dateStyle: chosen(options, "dateStyle", STYLES), timeStyle: chosen(options, "timeStyle", STYLES),
  };
  none(options, "era", "dayPeriod");
  chosen(options, "calendar", ["gregory"]);
  chosen(options, "numberingSystem", ["latn"]);
  const parts = ["weekday", "year", "month", "day", "hour", "minute", "second", "fraction", "zone"];
  if (made.dateStyle !== undefined || made.timeStyle !== undefined) {
    if (parts.some((name) => made[name])) throw new TypeError("dateStyle and timeStyle stand alone");
    if (needed === "date" && made.timeStyle !== undefined) throw new TypeError("A date has no timeStyle");
    if (needed === "time" && made.dateStyle !== undefined) throw new TypeError("A time has no dateStyle");
    return made;
  }
  const given = parts.slice(0, needed === "date" ? 4 : 8).slice(needed === "time" ? 4 : 0);
  if (!given.some((name) => made[name])) {
    if (defaults !== "time") made.year = made.month = made.day = "numeric";
    if (defaults !== "date") made.hour = made.minute = made.second = "numeric";
  }
  return made;
}
function styled(locale, { dateStyle, timeStyle }) { // the options for the parts that these styles stand for
  const made = { fraction: 0 };
  if (dateStyle === "short") Object.assign(made, locale === "en-US" ? { year: "2-digit", month: "numeric", day: "numeric" } :
    locale === "de-DE" ? { year: "2-digit", month: "2-digit", day: "2-digit" } : { year: "numeric", month: "numeric", day: "numeric" });
  else if (dateStyle !== undefined) {
    if (locale !== "en-US") unknown(`dateStyle '${dateStyle}' in the locale '${locale}'`);
    Object.assign(made, { year: "numeric", month: dateStyle === "medium" ? "short" : "long", day: "numeric" });
    if (dateStyle === "full") made.weekday = "long";
    if (dateStyle !== "medium") made.glue = " at ";
  }
  if (timeStyle === "long" || timeStyle === "full") unknown(`timeStyle '${timeStyle}', which names the zone`);
  if (timeStyle !== undefined) Object.assign(made, { hour: "numeric", minute: "numeric" }, timeStyle === "medium" ? { second: "numeric" } : {});
  return made;
}
function datePattern(locale, { weekday, year, month, day }) { // the names of the parts, with the literals between them
  const { date } = LOCALES[locale];
  const wordy = WORDS.includes(month);
  const has = `${year ? "Y" : ""}${month ? "M" : ""}${day ? "D" : ""}`;
  const what = () => unknown(`these parts of a date together in the locale '${locale}'`);
  if (has === "") return weekday ? (locale.startsWith("en") ? ["weekday"] : what()) : [];
  if ((wordy || weekday) && locale !== "en-US") return wordy && has === "M" && !weekday && locale.startsWith("en") ? ["month"] : what();
  let parts;
  if (has === "YMD") parts = wordy ? ["month", " ", "day", ", ", "year"] : date.split(/([^YMD])/).map((one) => ({ Y: "year", M: "month", D: "day" })[one] ?? one);
  else if (has.length === 1 && !weekday) parts = [{ Y: "year", M: "month", D: "day" }[has]];
  else if (locale === "en-US" && has === "MD") parts = ["month", wordy ? " " : "/", "day"];
  else if (locale === "en-US" && has === "YM" && !weekday) parts = ["month", wordy ? " " : "/", "year"];
  else return what();
  return weekday ? ["weekday", ", ", ...parts] : parts;
}
function timePattern(locale, { hour, minute, second, fraction }, twelve) {
  if (!hour && !minute && !second && !fraction) return [];
  if (!hour || (second && !minute) || (fraction && !second)) return unknown("these parts of a time together");
  if (!minute && locale === "de-DE") return unknown("an hour alone in the locale 'de-DE'");
  const parts = ["hour", ...(minute ? [":", "minute"] : []), ...(second ? [":", "second"] : [])];
  if (fraction) parts.push(LOCALES[locale].point, "fractionalSecond");
  return twelve ? [...parts, "\u202f", "dayPeriod"] : parts;
}

class DateTimeFormat {
  constructor(locales, options) { return formatOfDates(this, locales, options, "any", "date"); }
  static supportedLocalesOf(locales) { return supportedLocales(locales); }
  get format() {
    const record = it(this, "dates");
    return (record.bound ??= (date) => datesJoined(partsOfDate(record, date)));
  }
  formatToParts(date) { return partsOfDate(it(this, "dates"), date); }
  resolvedOptions() {
    const { locale, timeZone, hourCycle, made } = it(this, "dates");
    const shown = { locale, calendar: "gregory", numberingSystem: "latn", timeZone };
    if (made.hour || made.timeStyle) Object.assign(shown, { hourCycle, hour12: hourCycle === "h12" });
    for (const name of ["weekday", "year", "month", "day", "hour", "minute", "second", "dateStyle", "timeStyle"])
      if (made[name] !== undefined) shown[name] = made[name];
    return shown;
  }
}
const datesJoined = (parts) => parts.map(({ value }) => value).join("").replaceAll("\u202f", " "); // as other engines
function formatOfDates(face, locales, options, needed, defaults) {
  const given = options === undefined ? {} : Object(options);
  const locale = localeOf(locales);
  const timeZone = zoneOf(given.timeZone);
  const made = dateOptions(given, needed, defaults);
  const cycle = chosen(given, "hourCycle", ["h12", "h23"]);
  const twelve = given.hour12 === undefined ? (cycle === undefined ? LOCALES[locale].hours === 12 : cycle === "h12") : !!given.hour12;
  if (twelve && LOCALES[locale].half === undefined && (made.hour || made.timeStyle)) unknown(`twelve hours in the locale '${locale}'`);
  const shown = made.dateStyle || made.timeStyle ? styled(locale, made) : made;
  const date = datePattern(locale, shown);
  const time = timePattern(locale, shown, twelve);
  if (shown.zone && time.length === 0) unknown("timeZoneName without a time");
  if (shown.zone && !locale.startsWith("en")) unknown(`timeZoneName in the locale '${locale}'`);
  if (date.length === 1 && shown.weekday && time.length > 0) unknown("a weekday alone with a time");
  const glue = shown.glue ?? (shown.month === "long" ? " at " : LOCALES[locale].glue);
  const pattern = [...date, ...(date.length > 0 && time.length > 0 ? [glue] : []), ...time, ...(shown.zone ? [" ", "timeZoneName"] : [])];
  stamp(face, "dates", { locale, timeZone, made, shown, pattern, twelve, hourCycle: twelve ? "h12" : "h23", isWhole: shown.year && shown.month && shown.day });
  return face;
}
function partsOfDate({ locale, timeZone, shown, pattern, twelve, isWhole: whole }, date) {
  const time = date === undefined ? now() : typeof date === "object" && date !== null ? apply(getTime, date, []) : +date;
  if (!(Math.abs(time) <= 8.64e15)) throw new RangeError("Invalid time value");
  const offset = offsetAt(timeZone, Math.floor(time));
  const local = new Date(Math.floor(time) + 1000 * offset);
  const year = local.getUTCFullYear();
  if (year < 1) unknown("years before 1");
  const padded = LOCALES[locale].padded && whole && shown.month === "numeric" && shown.day === "numeric";
  const numeric = (number, width) => (width === "2-digit" ? pad(number % 100) : string(number));
  const named = (names, at, width) => (width === "short" ? names[at].slice(0, 3) : names[at]);
  const hours = local.getUTCHours();
  const says = {
    weekday: () => named(DAYS, local.getUTCDay(), shown.weekday),
    year: () => numeric(year, shown.year),
    month: () => WORDS.includes(shown.month) ? named(MONTHS, local.getUTCMonth(), shown.month) : numeric(local.getUTCMonth() + 1, padded ? "2-digit" : shown.month),
    day: () => numeric(local.getUTCDate(), padded ? "2-digit" : shown.day),
    hour: () => twelve ? numeric(hours % 12 || 12, shown.hour) : pad(hours),
    minute: () => pad(local.getUTCMinutes()),
    second: () => pad(local.getUTCSeconds()),
    fractionalSecond: () => pad(local.getUTCMilliseconds(), 3).slice(0, shown.fraction),
    dayPeriod: () => LOCALES[locale].half[hours < 12 ? 0 : 1],
    timeZoneName: () => offsetText(offset, shown.zone === "longOffset"),
  };
  return pattern.map((part) => (Object.hasOwn(says, part) ? { type: part, value: says[part]() } : { type: "literal", value: part }));
}
for (const [name, needed, defaults] of [["toLocaleString", "any", "all"], ["toLocaleDateString", "date", "date"], ["toLocaleTimeString", "time", "time"]])
  defineOwn(Date.prototype, name, {
    value: { [name](locales, options) {
      const time = apply(getTime, this, []);
      if (isNaN(time)) return "Invalid Date";
      return formatOfDates(Object.create(DateTimeFormat.prototype), locales, options, needed, defaults).format(time);
    } }[name],
    writable: true, enumerable: false, configurable: true,
  });

// Numbers.

const CURRENCIES = { __proto__: null, USD: "$", EUR: "€", GBP: "£", INR: "₹" };
const digitsOf = (value, least, most, otherwise) => {
  if (value === undefined) return otherwise;
  const number = Math.trunc(+value);
  if (!(number >= least && number <= most)) throw new RangeError(`${string(value)} is not a number from ${least} to ${most}`);
  return number;
};
class NumberFormat {
  constructor(locales, options) { return formatOfNumbers(this, locales, options); }
  static supportedLocalesOf(locales) { return supportedLocales(locales); }
  get format() {
    const record = it(this, "numbers");
    return (record.bound ??= (value) => numberText(record, value));
  }
  resolvedOptions() {
    const { locale, style, currency, least, most, grouped } = it(this, "numbers");
    return { locale, numberingSystem: "latn", style, ...(currency ? { currency } : {}), minimumIntegerDigits: 1, minimumFractionDigits: least, maximumFractionDigits: most, useGrouping: grouped ? "auto" : false };
  }
}
function formatOfNumbers(face, locales, options) {
  const given = options === undefined ? {} : Object(options);
  const locale = localeOf(locales);
  const style = chosen(given, "style", ["decimal", "percent", "currency"]) ?? "decimal";
  none(given, "unit", "minimumSignificantDigits", "maximumSignificantDigits", "roundingIncrement", "roundingMode", "trailingZeroDisplay");
  chosen(given, "notation", ["standard"]);
  chosen(given, "signDisplay", ["auto"]);
  chosen(given, "currencyDisplay", ["symbol"]);
  chosen(given, "numberingSystem", ["latn"]);
  const currency = style === "currency" ? `${given.currency}`.toUpperCase() : undefined;
  if (currency !== undefined && (CURRENCIES[currency] === undefined || locale === "en-CA" || locale === "sv-SE" || (locale === "en-GB" && currency === "USD")))
    unknown(`the currency '${given.currency}' in the locale '${locale}'`);
  const [low, high] = style === "currency" ? [2, 2] : style === "percent" ? [0, 0] : [0, 3];
  const asked = digitsOf(given.minimumFractionDigits, 0, 20, undefined);
  const bound = digitsOf(given.maximumFractionDigits, 0, 20, undefined);
  const least = asked ?? Math.min(low, bound ?? low);
  const most = bound ?? Math.max(high, least);
  if (least > most) throw new RangeError("minimumFractionDigits is more than maximumFractionDigits");
  const whole = digitsOf(given.minimumIntegerDigits, 1, 21, 1);
  stamp(face, "numbers", { locale, style, currency, least, most, whole, grouped: given.useGrouping === undefined || (given.useGrouping !== false && given.useGrouping !== "false") });
  return face;
}
function rounded(digits, point, most) { // of a decimal number: its digits and the place of its point; half away from zero
  const kept = point + most;
  if (kept >= digits.length) return [digits, point];
  if (kept < 0) return ["0", 1];
  const number = BigInt(digits.slice(0, kept) || "0") + (digits[kept] >= "5" ? 1n : 0n);
  const text = string(number).padStart(kept, "0");
  return [text === "" ? "0" : text, text.length - most];
}
function decimalOf(value) {
  if (typeof value === "bigint") return [string(value < 0n ? -value : value), string(value < 0n ? -value : value).length];
  const [, whole, part = "", power = "0"] = /^(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(string(Math.abs(value)));
  return [whole + part, whole.length + +power];
}
function numberText({ locale, style, currency, least, most, whole, grouped }, given) {
  const value = typeof given === "bigint" ? given : +given;
  const { group, point: mark, minus = "-" } = LOCALES[locale];
  let text;
  const negative = value < 0 || Object.is(value, -0);
  if (Number.isNaN(value)) text = "NaN";
  else if (value === Infinity || value === -Infinity) text = "∞";
  else {
    let [digits, point] = decimalOf(value);
    if (style === "percent") point += 2;
    if (point > digits.length) digits = digits.padEnd(point, "0");
    if (point <= 0) [digits, point] = ["0".repeat(1 - point) + digits, 1];
    [digits, point] = rounded(digits, point, most);
    if (point <= 0) [digits, point] = ["0".repeat(1 - point) + digits, 1];
    const integer = digits.slice(0, point).replace(/^0+(?=\d)/, "").padStart(whole, "0");
    const fraction = digits.slice(point).replace(/0+$/, "").padEnd(least, "0");
    text = (grouped ? integer.replace(/\B(?=(\d{3})+$)/g, group) : integer) + (fraction === "" ? "" : mark + fraction);
  }
  const before = currency !== undefined && locale.startsWith("en") ? CURRENCIES[currency] : "";
  const after = style === "percent" ? (locale.startsWith("en") ? "%" : "\u00a0%") : currency !== undefined && before === "" ? `\u00a0${CURRENCIES[currency]}` : "";
  return `${negative && text !== "NaN" ? minus : ""}${before}${text}${after}`;
}
for (const { prototype } of [Number, BigInt])
  defineOwn(prototype, "toLocaleString", {
    value: { toLocaleString(locales, options) {
      const value = apply(prototype.valueOf, this, []);
      return formatOfNumbers(Object.create(NumberFormat.prototype), locales, options).format(value);
    } }.toLocaleString,
    writable: true, enumerable: false, configurable: true,
  });

// The order of texts: by letters, then by accents, then small letters first. The characters of ASCII have the order of
// the root collation.

const ORDER = "\t\n\v\f\r _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789";
class Collator {
  constructor(locales, options) {
    const given = options === undefined ? {} : Object(options);
    const tag = localeOf(locales);
    if (tag === "sv-SE") unknown("the order of texts in the locale 'sv-SE'");
    chosen(given, "usage", ["sort"]);
    chosen(given, "caseFirst", ["false"]);
    chosen(given, "collation", ["default"]);
    if (given.ignorePunctuation) unknown("the option ignorePunctuation");
    const sensitivity = chosen(given, "sensitivity", ["base", "accent", "variant", "case"]) ?? "variant";
    stamp(this, "collator", { locale: tag, numeric: !!given.numeric, sensitivity });
  }
  static supportedLocalesOf(locales) { return supportedLocales(locales); }
  get compare() {
    const record = it(this, "collator");
    return (record.bound ??= (one, other) => inOrder(`${one}`, `${other}`, record));
  }
  resolvedOptions() {
    const { locale, numeric, sensitivity } = it(this, "collator");
    return { locale, usage: "sort", sensitivity, ignorePunctuation: false, collation: "default", numeric, caseFirst: "false" };
  }
}
function letters(text, numeric) { // the place, the accents and the case of each letter
  const found = [];
  for (const character of text.normalize("NFD")) {
    if (/\p{M}/u.test(character)) {
      if (found.length > 0) found.at(-1).accents += character;
      continue;
    }
    const small = character.toLowerCase();
    const place = ORDER.indexOf(small);
    found.push({ digit: /^\d$/.test(small) ? small : "", place: place >= 0 ? place : 100 + small.codePointAt(0), accents: "", large: small !== character });
  }
  if (!numeric) return found;
  const runs = [];
  for (const one of found) {
    const last = runs.at(-1);
    if (one.digit !== "" && last !== undefined && last.digits !== undefined) last.digits += one.digit;
    else runs.push(one.digit === "" ? one : { ...one, digits: one.digit, place: ORDER.indexOf("0") });
  }
  return runs;
}
function inOrder(one, other, { numeric, sensitivity }) {
  const [left, right] = [letters(one, numeric), letters(other, numeric)];
  const each = (difference) => {
    for (let i = 0; i < Math.min(left.length, right.length); i++) {
      const found = difference(left[i], right[i]);
      if (found !== 0) return Math.sign(found);
    }
    return 0;
  };
  const number = (digits = "") => digits.replace(/^0+(?=\d)/, "");
  const primary = each((a, b) => {
    if (a.place !== b.place || a.digits === undefined || b.digits === undefined) return a.place - b.place;
    const [x, y] = [number(a.digits), number(b.digits)];
    return x.length - y.length || (x < y ? -1 : x > y ? 1 : 0);
  }) || Math.sign(left.length - right.length);
  if (primary !== 0 || sensitivity === "base") return primary;
  const secondary = sensitivity === "case" ? 0 : each((a, b) => (a.accents < b.accents ? -1 : a.accents > b.accents ? 1 : 0));
  if (secondary !== 0 || sensitivity === "accent") return secondary;
  return each((a, b) => a.large - b.large);
}
{
  const { localeCompare } = String.prototype;
  defineOwn(String.prototype, "localeCompare", {
    value: { localeCompare(other, locales, options) {
      if (locales === undefined && options === undefined && arguments.length < 2) return apply(localeCompare, this, [other]);
      return new Collator(locales, options).compare(`${this}`, `${other}`);
    } }.localeCompare,
    writable: true, enumerable: false, configurable: true,
  });
}

const Intl = { Collator, DateTimeFormat, NumberFormat, getCanonicalLocales: (locales) => supportedLocales(locales) };
defineOwn(Intl, Symbol.toStringTag, { value: "Intl", configurable: true });
for (const name of ["DisplayNames", "DurationFormat", "ListFormat", "Locale", "PluralRules", "RelativeTimeFormat", "Segmenter"])
  defineOwn(Intl, name, { get() { return unknown(`Intl.${name}`); }, configurable: true });
