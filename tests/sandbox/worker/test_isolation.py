"""A poll leaves nothing behind for the next one, and can reach nothing outside of its guest."""

import asyncio

import pytest

from hairtrigger.sandbox.service.sandbox import Sandbox
from tests.sandbox.programs import Internet, answer, failed, program, returned

pytestmark = pytest.mark.anyio

POLLUTION = """
    globalThis.leaked = secrets.KEY;
    Object.prototype.leaked = 1;
    Array.prototype.leaked = 1;
    Object.prototype.toJSON = function () { return ['spoofed'] };
    globalThis.fetch = JSON.parse = JSON.stringify = Array.isArray = Promise.prototype.then = () => 'spoofed';
    Map.prototype.get = Map.prototype.set = Reflect.apply = String.prototype.slice = () => 'spoofed';
    Object.freeze(Function.prototype);
    await 0
    return []
"""


async def test_nothing_of_a_poll_is_there_in_the_next(sandbox: Sandbox) -> None:
    await asyncio.gather(
        *(sandbox.run(program(POLLUTION, secrets={"KEY": "k"}), Internet(answer([])).fetch) for _ in range(4)),
        return_exceptions=True,
    )

    code = """
        return [typeof leaked, typeof {}.leaked, typeof [].leaked, typeof {}.toJSON, Object.keys(secrets),
                Object.isFrozen(Function.prototype), await (await fetch('https://a.example/')).json()]
    """
    expected = ["undefined", "undefined", "undefined", "undefined", [], False, {"a": 1}]
    for _ in range(4):
        assert await returned(sandbox, code, Internet(answer({"a": 1})).fetch) == expected


async def test_replaced_built_ins_change_the_polls_own_result_at_most(sandbox: Sandbox) -> None:
    code = "JSON.stringify = Array.isArray = () => 'spoofed'; Promise.prototype.then = null; return [1]"

    assert await returned(sandbox, code) == [1]


@pytest.mark.parametrize(
    "sabotage",
    [
        "Object.prototype.toJSON = () => 'x'",
        "Array.prototype[Symbol.iterator] = null",
        "Map.prototype.get = () => { throw 1 }",
        "globalThis.Promise = null",
        "RegExp.prototype.exec = () => null",
        "Object.defineProperty(Object.prototype, 'error', { get() { throw 1 } })",
        "Object.defineProperty(Object.prototype, 'status', { set() { throw 1 } })",
    ],
)
async def test_code_that_breaks_the_classes_fails_alone(sandbox: Sandbox, sabotage: str) -> None:
    code = f"{sabotage}; const response = await fetch('https://a.example/'); return [response.status]"
    survivor = "await new Promise((resolve) => setTimeout(resolve, 50)); return ['fine']"

    sabotaged, fine = await asyncio.gather(
        sandbox.run(program(code), Internet(answer([])).fetch),
        returned(sandbox, survivor),
        return_exceptions=True,
    )

    assert fine == ["fine"]
    assert getattr(sabotaged, "kind", "js_error") in ("js_error", "never_settles")


async def test_nothing_of_the_host_has_a_name(sandbox: Sandbox) -> None:
    code = """
        const names = ['process', 'require', 'module', 'std', 'os', 'Deno', 'Bun', 'WebAssembly', 'XMLHttpRequest',
                       'abort', 'decode', 'done', 'encode', 'fail', 'fetchFromHost', 'log', 'random', 'wake',
                       'start', 'check', 'respond', 'runTimers', 'limits', 'waiting', 'define', 'scriptArgs', 'bjson'];
        const everything = Object.getOwnPropertyNames(Function('return this')());
        return [names.filter((name) => everything.includes(name) || eval(`typeof ${name}`) !== 'undefined'),
                everything.filter((name) => name.startsWith('__'))]
    """

    assert await returned(sandbox, code) == [[], []]


async def test_the_host_is_not_reachable_through_what_it_hands_out(sandbox: Sandbox) -> None:
    code = """
        const seen = new Set();
        const walk = (value) => {
            if ((typeof value !== 'object' || value === null) && typeof value !== 'function' || seen.has(value)) return;
            seen.add(value);
            walk(Object.getPrototypeOf(value));
            for (const property of Object.values(Object.getOwnPropertyDescriptors(value)))
                [property.value, property.get, property.set].forEach(walk);
        };
        walk(globalThis);
        walk(await fetch('https://a.example/'));
        walk(await fetch('bad:').catch((error) => error));
        const natives = [...seen].filter((value) => typeof value === 'function')
            .map((value) => Function.prototype.toString.call(value))
            .filter((source) => /hostCall|host_call|fetchFromHost\\) *\\{/.test(source));
        return [seen.size > 500, natives]
    """

    assert await returned(sandbox, code, Internet(answer([])).fetch) == [True, []]


async def test_a_stack_hands_out_no_functions(sandbox: Sandbox) -> None:
    code = """
        const taken = [];
        const take = (error, sites) => sites.forEach((site) => taken.push(String(site.getFunction?.())));
        Error.prepareStackTrace = take;
        try { Object.defineProperty(Error, 'prepareStackTrace', { value: take }) }
        catch (error) { taken.push(error.name) }
        String(new Error('a').stack);
        new Headers({ get a() { String(new Error('b').stack); return 'value' } });
        const holder = {};
        Error.captureStackTrace(holder);
        String(holder.stack);
        return taken
    """

    assert await returned(sandbox, code) == ["TypeError"]


async def test_code_cannot_inspect_its_caller(sandbox: Sandbox) -> None:
    code = """
        const seen = [];
        function inspect() { seen.push(typeof arguments.callee.caller, typeof inspect.caller) }
        Object.defineProperty(Object.prototype, 'status', { get() { inspect(); return 200 }, set() { inspect() } });
        inspect();
        new Response('', Object.create({ get headers() { inspect() } }));
        return [...new Set(seen)]
    """

    assert await returned(sandbox, code) == ["undefined"]


async def test_chance_differs_from_poll_to_poll(sandbox: Sandbox) -> None:
    code = """
        const bytes = [...crypto.getRandomValues(new Uint8Array(8))];
        return [Math.random(), Math.random(), crypto.randomUUID(), bytes.join()]
    """

    results = [await returned(sandbox, code) for _ in range(5)]

    assert len({value for result in results for value in result}) == 20
    assert all(0 <= chance < 1 for first, second, _, _ in results for chance in (first, second))


async def test_time_is_utc_and_no_finer_than_a_millisecond(sandbox: Sandbox) -> None:
    code = """
        return [new Date(0).toString(), new Date().getTimezoneOffset(),
                Number.isInteger(performance.now() * 1e6 % 1e6)]
    """
    assert await returned(sandbox, code) == ["Thu Jan 01 1970 00:00:00 GMT+0000", 0, True]


async def test_names_of_the_environment_may_be_used_for_variables(sandbox: Sandbox) -> None:
    code = "const data = 1, inputs = 2, fetch = 3, ld = 4, secrets = 5; let URL = 6; return [data + inputs + URL]"

    assert await returned(sandbox, code) == [9]


async def test_inputs_arrive_as_they_are(sandbox: Sandbox) -> None:
    inputs = {"text": "a\u2028b\"'`${x}😀", "__proto__": {"polluted": 1}, "list": [1, None, {"deep": True}]}
    code = "return [inputs.text, inputs.list, ({}).polluted ?? 'clean', data.input === inputs, data.auth === secrets]"

    value = await returned(sandbox, code, inputs=inputs)

    assert value == [inputs["text"], inputs["list"], "clean", True, True]


async def test_a_sandboxs_error_says_nothing_of_the_machine(sandbox: Sandbox) -> None:
    error = await failed(sandbox, "await fetch('https://a.example/')")

    assert (error.name, error.message) == ("TypeError", "fetch failed")
