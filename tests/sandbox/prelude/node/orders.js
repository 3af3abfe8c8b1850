const words = ["a", "A", "b", "B", "a1", "a10", "a9", "a09", "10", "9", "09", "", " ", "é", "e", "E", "É", "f", "-", "_", "a b", "ab", "a-b", "x.y", "xy", "~", "$", "z", "ż", "item 2", "item 12", "Item 2"];
const tried = (make) => { try { return make(); } catch (error) { return "refused"; } };
const shapes = [undefined, { numeric: true }, { sensitivity: "base" }, { sensitivity: "accent" }, { numeric: true, sensitivity: "base" }, { sensitivity: "case" }, { caseFirst: "upper" }];
return shapes.map((shape) => [JSON.stringify(shape) ?? "none", ...words.flatMap((one) => words.map((other) => tried(() =>
  Math.sign(new Intl.Collator("en", shape).compare(one, other)) + 0)))]);
