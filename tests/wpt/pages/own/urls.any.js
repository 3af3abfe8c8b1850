// The data of the URL tests, which more packages carry than the tests themselves. As the pages of url/ do.

const cases = async (name) => (await (await fetch(`/url/resources/${name}.json`)).json());
const parts = [
  "href", "origin", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search",
  "searchParams", "hash",
];
const shown = (text) => JSON.stringify(text);

promise_test(async () => {
  for (const { input, base, failure, ...expected } of await cases("urltestdata")) {
    if (input === undefined || isOutdated(input)) continue; // or a comment
    test(() => {
      const given = base === null || base === undefined ? [input] : [input, base];
      assert_equals(URL.canParse(...given), !failure, "canParse");
      if (failure) {
        assert_throws_js(TypeError, () => new URL(...given));
        assert_equals(URL.parse(...given), null, "parse");
        return;
      }
      const url = new URL(...given);
      for (const part of parts) if (part in expected) assert_equals(`${url[part]}`, expected[part], part);
      assert_equals(URL.parse(...given).href, expected.href, "parse");
      assert_equals(new URL(url.href).href, expected.href, "parsed again");
    }, `Parsing ${shown(input)} against ${shown(base)}`);
  }
}, "urltestdata.json can be had");

promise_test(async () => {
  for (const [setter, changes] of Object.entries(await cases("setters_tests"))) {
    if (setter === "comment") continue;
    for (const { href, new_value: value, expected } of changes)
      test(() => {
        const url = new URL(href);
        url[setter] = value;
        for (const part of Object.keys(expected)) assert_equals(url[part], expected[part], part);
      }, `Setting ${shown(href)}.${setter} to ${shown(value)}`);
  }
}, "setters_tests.json can be had");

// Data from before June 2026 refuses names in ASCII whose "xn--" labels are nonsense; the standard no longer does.
const isOutdated = (text) => /^[\0-\x7f]*$/.test(text) && /xn--/i.test(text);

function named(input, output) {
  const failure = output === null || output === "";
  if (failure) assert_throws_js(TypeError, () => new URL(`https://${input}/x`));
  else {
    const url = new URL(`https://${input}/x`);
    assert_equals(url.host, output, "host");
    assert_equals(url.href, `https://${output}/x`, "href");
  }
  const changed = new URL("https://x/x");
  changed.hostname = input;
  assert_equals(changed.host, failure ? "x" : output, "the setter");
}
for (const name of ["toascii", "IdnaTestV2"])
  promise_test(async () => {
    for (const { input, output } of (await cases(name)).filter((one) => one.input && !isOutdated(one.input) && !/[/?#:\\]/.test(one.input)))
      test(() => { named(input, output); }, `${name}: ${shown(input)}`);
  }, `${name}.json can be had`);
