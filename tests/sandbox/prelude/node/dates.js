const tried = (make) => { try { return make(); } catch (error) { return "refused"; } };
const times = ["2026-05-01T02:00:00Z", "2026-03-29T00:59:59.987Z", "2026-03-29T01:00:00Z", "2026-11-01T05:30:00Z", "1999-12-31T23:59:59Z",
  "2026-01-05T12:07:08.009Z", "1850-02-03T12:30:00Z"].map((one) => new Date(one));
const zones = [undefined, "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "utc", "+05:30", "No/Where"];
const shapes = [undefined, {}];
for (const weekday of [undefined, "short", "long"]) for (const year of [undefined, "numeric", "2-digit"])
  for (const month of [undefined, "numeric", "2-digit", "short", "long", "narrow"]) for (const day of [undefined, "numeric", "2-digit"])
    shapes.push({ weekday, year, month, day });
for (const date of [{}, { year: "numeric", month: "2-digit", day: "2-digit" }, { year: "numeric", month: "long", day: "numeric" }, { year: "numeric", month: "short", day: "numeric" }])
  for (const time of [{ hour: "numeric" }, { hour: "2-digit", minute: "2-digit" }, { hour: "numeric", minute: "numeric", second: "numeric" },
    { hour: "2-digit", minute: "2-digit", second: "2-digit" }, { hour: "numeric", minute: "numeric", second: "numeric", fractionalSecondDigits: 3 }, { minute: "numeric" },
    { hour: "numeric", minute: "numeric", timeZoneName: "shortOffset" }, { hour: "numeric", minute: "numeric", timeZoneName: "longOffset" },
    { hour: "numeric", minute: "numeric", timeZoneName: "short" }])
    for (const cycle of [{}, { hourCycle: "h23" }, { hour12: true }, { hourCycle: "h12" }, { hourCycle: "h24" }]) shapes.push({ ...date, ...time, ...cycle });
for (const dateStyle of [undefined, "short", "medium", "long", "full"]) for (const timeStyle of [undefined, "short", "medium", "long"])
  shapes.push({ dateStyle, timeStyle });
shapes.push({ era: "short" }, { dayPeriod: "long" }, { calendar: "buddhist" }, { numberingSystem: "arab" });
const locale = inputs.locale ?? undefined;
const at = times.map((_, i) => i);
return shapes.slice(inputs.from, inputs.from + 40).map((shape, i) => {
  const time = times[(i + inputs.from) % times.length];
  const options = shape && { ...shape, timeZone: zones[(i + inputs.from) % (zones.length - 1)] };
  return [JSON.stringify(shape) ?? "none", tried(() => new Intl.DateTimeFormat(locale, options).format(time)),
    tried(() => JSON.stringify(new Intl.DateTimeFormat(locale, options).formatToParts(time))),
    tried(() => time.toLocaleString(locale, options)), tried(() => time.toLocaleDateString(locale, options)), tried(() => time.toLocaleTimeString(locale, options))];
});
