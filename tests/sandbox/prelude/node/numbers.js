const tried = (make) => { try { return make(); } catch (error) { return "refused"; } };
const values = [0, -0, 1, -1, 1.005, 0.5, 2.5, 1234.5678, -9876543.21, 0.000123, 1e21, 123456789012345680, 1e-7, 0.99999, 999.9995, NaN, Infinity, -Infinity, 12345678901234567890n];
const shapes = [undefined, {}, { maximumFractionDigits: 0 }, { minimumFractionDigits: 2 }, { minimumFractionDigits: 2, maximumFractionDigits: 2 }, { maximumFractionDigits: 1 },
  { useGrouping: false }, { style: "percent" }, { style: "percent", maximumFractionDigits: 1 }, { style: "currency", currency: "USD" }, { style: "currency", currency: "EUR" },
  { style: "currency", currency: "JPY" }, { style: "unit", unit: "liter" }, { notation: "compact" }, { minimumIntegerDigits: 3 }, { maximumSignificantDigits: 3 },
  { style: "currency", currency: "GBP", minimumFractionDigits: 0 }, { maximumFractionDigits: 30 }, { minimumFractionDigits: 4 }];
return shapes.flatMap((shape) => values.map((value) =>
  [JSON.stringify(shape) + String(value), tried(() => new Intl.NumberFormat(inputs.locale ?? undefined, shape).format(value)), tried(() => value.toLocaleString(inputs.locale ?? undefined, shape))]));
