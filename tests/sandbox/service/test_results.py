"""Values that code returns and throws, and the messages that its user gets."""

import pytest

from hairtrigger.sandbox.protocol.poll import PollErrorKind, SyntaxProblem
from hairtrigger.sandbox.service.sandbox import Sandbox
from tests.sandbox.programs import failed, nowhere, program, returned

pytestmark = pytest.mark.anyio


async def test_events_are_what_json_makes_of_them(sandbox: Sandbox) -> None:
    code = """
        return [{ a: undefined, b: new Date(0), c: NaN, d: [undefined], e: 1.5, f: "\\u0000é😀", g: 1e21, h: () => 1 },
                null, "text", 7, {}, Promise.resolve(8)]
    """

    assert await returned(sandbox, code) == [
        {"b": "1970-01-01T00:00:00.000Z", "c": None, "d": [None], "e": 1.5, "f": "\0é😀", "g": 1e21},
        None,
        "text",
        7,
        {},
        8,
    ]


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("new Map([[1, 2]])", "Map"),
        ("{ a: [new Set([1])] }", "Set"),
        ("{ later: Promise.resolve(1) }", "Promise"),
        ("{ bytes: new ArrayBuffer(2) }", "ArrayBuffer"),
        ("[1].values()", "Iterator"),
        ("new Headers({ a: 'b' })", "Headers"),
        ("{ found: /a/ }", "RegExp"),
        ("new (class Other extends Map {})([[1, 2]])", "Map"),
    ],
)
async def test_what_json_makes_empty_is_refused_by_name(sandbox: Sandbox, value: str, named: str) -> None:
    error = await failed(sandbox, f"return [{{ id: 1 }}, {value}]")

    assert (error.kind, error.name) == (PollErrorKind.JS_ERROR, "TypeError")
    assert f" {named}, which is {{}} in JSON" in error.message


async def test_an_error_among_the_events_says_what_it_is(sandbox: Sandbox) -> None:
    code = "return [{ error: new RangeError('no'), empty: {} }]"
    assert await returned(sandbox, code) == [{"error": {"name": "RangeError", "message": "no"}, "empty": {}}]


async def test_a_promise_that_is_rejected_ends_the_poll(sandbox: Sandbox) -> None:
    error = await failed(sandbox, "return [1, Promise.reject(new Error('no'))]")
    assert (error.name, error.message) == ("Error", "no")


async def test_half_a_surrogate_pair_does_not_leave_the_sandbox(sandbox: Sandbox) -> None:
    value = await returned(sandbox, r"""return ["\ud800", { "a\udfff": "\\ud800 \ud83d\ude00" }]""")

    assert value == ["?", {"a?": "\\ud800 😀"}]


@pytest.mark.parametrize(
    "code", ["return 1", "return", "", "return { length: 1, 0: 1 }", "return '[1]'", "return Promise.resolve({})"]
)
async def test_what_is_not_an_array_is_refused(sandbox: Sandbox, code: str) -> None:
    error = await failed(sandbox, code)

    assert error.kind is PollErrorKind.NOT_AN_ARRAY
    assert error.message == "The code must return an array of events."


async def test_an_array_that_json_turns_into_something_else_is_refused(sandbox: Sandbox) -> None:
    error = await failed(sandbox, "const events = [1]; events.toJSON = () => ({}); return events")

    assert error.kind is PollErrorKind.NOT_AN_ARRAY


@pytest.mark.parametrize(
    ("code", "name", "message"),
    [
        ("throw new TypeError('wrong')", "TypeError", "wrong"),
        ("throw null", "Error", "null"),
        ("throw undefined", "Error", "undefined"),
        ("throw 'text'", "Error", "text"),
        ("throw { code: 7 }", "Error", '{"code":7}'),
        ("throw Symbol('s')", "Error", "Symbol(s)"),
        ("throw new Proxy({}, { get() { throw 1 } })", "Error", "What was thrown cannot be read."),
        ("class Refused extends Error { name = 'Refused' }; throw new Refused('no')", "Refused", "no"),
        ("const a = []; a.push(a); return a", "TypeError", "circular reference"),
        ("return [1n]", "TypeError", "BigInt are forbidden in JSON.stringify"),
        ("missing()", "ReferenceError", "missing is not defined"),
        ("setTimeout(() => { throw new Error('late') }, 1); await new Promise(() => 0)", "Error", "late"),
        ("await import('fs')", "ReferenceError", "could not load module 'fs'"),
    ],
)
async def test_what_code_throws_is_reported(sandbox: Sandbox, code: str, name: str, message: str) -> None:
    error = await failed(sandbox, code)

    assert (error.kind, error.name, error.message) == (PollErrorKind.JS_ERROR, name, message)


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("throw new Error('first')", 1),
        ("const a = 1;\n\n  missing();", 3),
        ("await null;\nawait null;\nnull.x", 3),
        ("function inner() {\n  throw new Error('inner')\n}\n\ninner()", 2),
        ("const a = 1;\nawait fetch('https://a.example/')", 2),
        ("let a =\n;", 2),
        ("if (true) {\n  call(\n", 3),
        ("throw 1", None),
        ("const error = new Error('forged'); error.stack = 'at f (<input>:99999:1)'; throw error", 1),
    ],
)
async def test_an_error_names_the_users_own_line(sandbox: Sandbox, code: str, line: int | None) -> None:
    error = await failed(sandbox, code)

    assert error.line == line


@pytest.mark.parametrize(
    "code",
    [
        "}); globalThis.escaped = 1; (async function () {",
        "}); return [1]; (async () => {",
        "}; console.log('out'); (() => {",
        "return []; }) + (async function () { return [2]",
        "/*",
        "`${",
    ],
)
async def test_code_cannot_close_the_function_that_holds_it(sandbox: Sandbox, code: str) -> None:
    error = await failed(sandbox, code)

    assert (error.kind, error.name) == (PollErrorKind.JS_ERROR, "SyntaxError")
    with pytest.raises(SyntaxProblem):
        await sandbox.check(code)


@pytest.mark.parametrize(
    ("code", "line", "column"),
    [
        ("let a = ;", 1, 9),
        ("const a = 1;\nconst b = ;", 2, 11),
        ("\t\tlet a = ;", 1, 11),
        ("/*\U0001f600é*/ let a = ;", 1, 17),
        ("'\U0001f600'; a b", 1, 9),
        ("let a = 1;\r\n let b = ;", 2, 10),
        ("let a\r  let b = ;", 2, 11),
        ("let a\u2028  let b = ;", 2, 11),
        ("'abc", 1, 1),
        ("\n  `abc\n\n", 2, 3),
        ("\n /abc[", 2, 2),
        ("if (1) {", 1, 9),
        ("f(\n  1,\n", 3, 1),
        ("a\n}", 2, 2),
        ("\n 1 = 2", 2, 6),
        ("let x = 1; let x = 2", 1, 18),
        ("}); (() => {", 1, 2),
        ("a\n  }; console.log(1); (() => {", 2, 4),
        ("let a = /(/", None, None),
    ],
)
async def test_checking_finds_line_and_column_of_a_mistake(
    sandbox: Sandbox, code: str, line: int | None, column: int | None
) -> None:
    """Positions count from 1, in UTF-16 units. The mistake is at the end if code ends too early or too late."""
    with pytest.raises(SyntaxProblem) as raised:
        await sandbox.check(code)
    error = await failed(sandbox, code)

    assert (raised.value.line, raised.value.column) == (line, column)
    assert (error.name, error.line, error.column) == ("SyntaxError", line, column)


@pytest.mark.parametrize(
    ("code", "line", "column"),
    [
        ("throw new Error('x')", 1, 11),
        ("/*\U0001f600é*/ throw new Error('x')", 1, 19),
        ("\t null.x", 1, 3),
        ("const f = () => { missing() }; \r\n f()", 1, 19),
        ("\n  JSON.parse('{a')", 2, 8),
    ],
)
async def test_an_error_names_the_users_own_column(sandbox: Sandbox, code: str, line: int, column: int) -> None:
    error = await failed(sandbox, code)

    assert (error.line, error.column) == (line, column)


async def test_checking_says_what_is_wrong(sandbox: Sandbox) -> None:
    with pytest.raises(SyntaxProblem) as raised:
        await sandbox.check("const b = ;")

    assert raised.value.message == "unexpected token in expression: ';'"


@pytest.mark.parametrize(
    "code", ["while (true) {}", "throw 1", "return await fetch('https://a.example/')", "", "// end"]
)
async def test_checking_does_not_run_the_code(sandbox: Sandbox, code: str) -> None:
    await sandbox.check(code)


async def test_checking_ends_at_the_cpu_limit_too(sandbox: Sandbox) -> None:
    with pytest.raises(SyntaxProblem, match="250 ms of CPU time"):
        await sandbox.check("}); for (;;); (async function () {")


async def test_no_secret_is_in_what_a_poll_says(sandbox: Sandbox) -> None:
    secrets = {"KEY": "s3cr3t", "LONGER": "s3cr3t-and-more", "EMPTY": "", "ODD": 'a"b\n.*'}
    code = """
        console.log('key', secrets.KEY, [secrets.LONGER]);
        console.log('x'.repeat(2045) + secrets.LONGER);
        console.log(secrets.ODD);
        const error = new Error(`refused ${secrets.LONGER}`);
        error.name = secrets.KEY + 'Error';
        throw error
    """

    error = await failed(sandbox, code, secrets=secrets)

    assert (error.name, error.message) == ("***Error", "refused ***")
    assert error.console == ('key *** ["***"]', "x" * 2045 + "***", "***")
    assert "s3cr3t" not in str(error)


async def test_the_console_shows_values_readably(sandbox: Sandbox) -> None:
    code = """
        console.log('a', 1, null, undefined, true, { b: [2] }, [3], new TypeError('wrong'), Symbol('s'), 4n);
        console.warn(); console.error(new Map()); console.info('i'); console.debug(() => 1); ld.log('ld', { c: 5 });
        const circular = {}; circular.circular = circular; console.log(circular, '\\ud800');
        return []
    """

    outcome = await sandbox.run(program(code), nowhere)

    assert outcome.console == (
        'a 1 null undefined true {"b":[2]} [3] TypeError: wrong Symbol(s) 4n',
        "",
        "Map(0) {}",
        "i",
        "[Function: ]",
        'ld {"c":5}',
        '{"circular":[Circular]} \ufffd',
    )
