"""The web's classes as polling code finds them."""

import asyncio

import pytest

from hairtrigger.sandbox.protocol.poll import HttpRequest, HttpResponse, PollErrorKind
from hairtrigger.sandbox.service.sandbox import Sandbox
from tests.sandbox.programs import Internet, answer, failed, nowhere, program, returned

pytestmark = pytest.mark.anyio


async def test_a_request_is_sent_as_code_describes_it(sandbox: Sandbox) -> None:
    internet = Internet(answer([]))
    code = """
        const bytes = new Uint8Array([0, 255, 10]);
        const put = { method: 'PUT', body: bytes, headers: [['A', '1'], ['a', '2']] };
        const json = { method: 'POST', body: '{"a":1}', headers: { 'content-type': 'application/json' } };
        await fetch('https://a.example/1?q=ü#gone', { method: 'post', body: 'grüß', headers: { 'X-A': ' 1 ' } });
        await fetch(new URL('2', 'https://a.example/x/'), { method: 'patch', body: new URLSearchParams({ a: 'b c' }) });
        await fetch(new Request('https://a.example/3', put));
        await fetch('https://a.example/4', { method: 'DELETE', body: bytes.buffer, redirect: 'manual' });
        await fetch('https://a.example/5', json);
        return []
    """

    await returned(sandbox, code, internet.fetch)

    text, form = "text/plain;charset=UTF-8", "application/x-www-form-urlencoded;charset=UTF-8"
    base = "https://a.example"
    assert internet.requests == [
        HttpRequest("POST", f"{base}/1?q=%C3%BC", (("content-type", text), ("x-a", "1")), "grüß".encode(), "follow"),
        HttpRequest("patch", f"{base}/x/2", (("content-type", form),), b"a=b+c", "follow"),
        HttpRequest("PUT", f"{base}/3", (("a", "1, 2"),), b"\0\xff\n", "follow"),
        HttpRequest("DELETE", f"{base}/4", (), b"\0\xff\n", "manual"),
        HttpRequest("POST", f"{base}/5", (("content-type", "application/json"),), b'{"a":1}', "follow"),
    ]


async def test_a_response_has_what_the_standard_says(sandbox: Sandbox) -> None:
    headers = (("Content-Type", "text/plain"), ("Set-Cookie", "a=1"), ("set-cookie", "b=2"), ("X", "1"), ("x", "2"))
    response = HttpResponse(404, "Not Found", "https://b.example/end", True, headers, "\ufeffgrüß".encode())
    code = """
        const response = await fetch('https://a.example/');
        const copy = response.clone();
        const { ok, status, statusText, url, redirected, headers, type } = response;
        const before = response.bodyUsed, text = await response.text(), after = response.bodyUsed;
        const again = await response.text().catch((error) => error.name);
        return [ok, status, statusText, url, redirected, type, before, text, after, again,
                [...headers], headers.get('x'), headers.getSetCookie(), headers.has('nope'),
                [...new Uint8Array(await copy.arrayBuffer())].length, response instanceof Response]
    """

    value = await returned(sandbox, code, Internet(response).fetch)

    assert value == [
        *(False, 404, "Not Found", "https://b.example/end", True, "basic", False, "grüß", True, "TypeError"),
        [["content-type", "text/plain"], ["set-cookie", "a=1"], ["set-cookie", "b=2"], ["x", "1, 2"]],
        *("1, 2", ["a=1", "b=2"], False, 9, True),
    ]


async def test_a_megabyte_of_json_is_read_within_the_cpu_limit(sandbox: Sandbox) -> None:
    issues = [{"id": n, "title": f"Größe {n}", "text": "x" * 200} for n in range(3900)]
    code = "return [(await (await fetch('https://a.example/')).json()).map((issue) => issue.id).length]"

    assert await returned(sandbox, code, Internet(answer(issues)).fetch) == [3900]


@pytest.mark.parametrize("method", ["CONNECT", "trace", "Track", "BAD METHOD", ""])
async def test_forbidden_methods_are_refused_before_anything_is_sent(sandbox: Sandbox, method: str) -> None:
    internet = Internet(answer([]))

    error = await failed(sandbox, f"await fetch('https://a.example/', {{ method: {method!r} }})", internet.fetch)

    assert (error.kind, error.name) == (PollErrorKind.JS_ERROR, "TypeError")
    assert internet.requests == []


@pytest.mark.parametrize(
    "call",
    [
        "fetch('https://a.example/', { body: 'x' })",
        "fetch('https://a.example/', { method: 'HEAD', body: 'x' })",
        "fetch('/relative')",
        "fetch('ftp://a.example/')",
        "fetch('file:///etc/passwd')",
        "fetch('data:no comma')",
        "fetch('about:blank')",
        "fetch('blob:https://a.example/1')",
        "fetch('https://user:password@a.example/')",
        "fetch('https://a.example/', { headers: { 'a b': '1' } })",
        "fetch('https://a.example/', { headers: { a: '1\\r\\nb: 2' } })",
        "fetch('https://a.example/', { headers: { a: '€' } })",
        "fetch('https://a.example/', { redirect: 'maybe' })",
        "fetch('https://a.example/', { signal: {} })",
        "fetch()",
    ],
)
async def test_what_cannot_be_fetched_is_a_type_error(sandbox: Sandbox, call: str) -> None:
    internet = Internet(answer([]))

    error = await failed(sandbox, f"await {call}", internet.fetch)

    assert (error.kind, error.name, error.line) == (PollErrorKind.JS_ERROR, "TypeError", 1)
    assert internet.requests == []


async def test_a_failed_fetch_can_be_caught_and_says_nothing(sandbox: Sandbox) -> None:
    code = """
        try { await fetch('https://a.example/') }
        catch (error) { return [error instanceof TypeError, error.message, Object.keys(error), 'cause' in error] }
    """

    assert await returned(sandbox, code, nowhere) == [True, "fetch failed", [], False]


async def test_an_aborted_fetch_is_cancelled(sandbox: Sandbox) -> None:
    cancelled = asyncio.Event()

    async def slow(_request: HttpRequest) -> HttpResponse:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    code = """
        const controller = new AbortController();
        const told = [];
        controller.signal.addEventListener('abort', (event) => told.push(event.type));
        setTimeout(() => controller.abort(), 10);
        const error = await fetch('https://a.example/', { signal: controller.signal }).catch((error) => error);
        const late = await fetch('https://a.example/', { signal: AbortSignal.abort('why') }).catch((error) => error);
        const timed = await fetch('https://a.example/', { signal: AbortSignal.timeout(10) }).catch((error) => error);
        const any = AbortSignal.any([new AbortController().signal, controller.signal]);
        return [error.name, late, timed.name, controller.signal.aborted, told, any.aborted]
    """

    assert await returned(sandbox, code, slow) == ["AbortError", "why", "TimeoutError", True, ["abort"], True]
    assert cancelled.is_set()


async def test_the_builders_dialect_works_too(sandbox: Sandbox) -> None:
    internet = Internet(answer({"items": [1]}, x_total="1"))
    code = """
        const response = await ld.request({
            method: 'POST', url: 'https://a.example/items?a=1', headers: { Authorization: data.auth.key },
            params: { since: data.input.since, tag: ['x', 'y'], none: null }, body: { q: 1 }, responseType: 'json',
        });
        ld.log('got', response.status);
        await ld.wait(1);
        const bytes = await ld.request({ url: 'https://a.example/', responseType: 'binary' });
        return [response, bytes.buffer.length, bytes.success]
    """

    outcome = await sandbox.run(program(code, {"since": "2026"}, {"key": "k"}), internet.fetch)

    received = {"status": 200, "headers": {"x-total": "1"}, "json": {"items": [1]}, "text": '{"items": [1]}'}
    assert outcome.value == [received, 14, True]
    assert outcome.console == ("got 200",)
    first, second = internet.requests
    assert (first.method, first.url) == ("POST", "https://a.example/items?a=1&since=2026&tag=x&tag=y")
    assert first.headers == (("authorization", "k"), ("content-type", "application/json"))
    assert first.body == b'{"q":1}'
    assert second.method == "GET"


async def test_text_that_is_not_json_leaves_json_empty_in_the_builders_dialect(sandbox: Sandbox) -> None:
    code = "const { json, text } = await ld.request({ url: 'https://a.example/' }); return [json, text]"

    assert await returned(sandbox, code, Internet(answer(b"<html>")).fetch) == [None, "<html>"]


async def test_timers_run_in_order_and_can_be_cleared(sandbox: Sandbox) -> None:
    code = """
        const order = [];
        setTimeout((value) => order.push(value), 20, 'last');
        setTimeout(() => order.push('first'), 1);
        const cleared = setTimeout(() => order.push('never'), 5);
        clearTimeout(cleared);
        queueMicrotask(() => order.push('microtask'));
        await new Promise((resolve) => setTimeout(resolve, 30));
        return order
    """

    assert await returned(sandbox, code) == ["microtask", "first", "last"]


# Each key is the body of a function, and its value is the result.
URLS = {
    "return new URL('../c?x=a b#f', 'https://u:p@EXAMPLE.com:443/a/b/').href": "https://u:p@example.com/a/c?x=a%20b#f",
    "return new URL('https://bücher.example/ä').href": "https://xn--bcher-kva.example/%C3%A4",
    "return new URL('http://0x7f.1/').hostname": "127.0.0.1",
    "return new URL('http://[2001:DB8:0:0:0:0:0:1]:80').host": "[2001:db8::1]",
    r"return new URL('https:\\\\a.example\\b').href": "https://a.example/b",
    "return new URL('mailto:a@b.example').pathname": "a@b.example",
    "return new URL('https://a.example').origin": "https://a.example",
    "return URL.canParse('https://a b/')": False,
    "return URL.parse('nope')": None,
    "const u = new URL('https://a.example/'); u.searchParams.set('since', lastPollTime); return u.href": (
        "https://a.example/?since=2026-03-01T12%3A30%3A15.250Z"
    ),
    "const u = new URL('https://a.example/?a=1'), p = u.searchParams; u.search = '?b=2'; return [...p]": [["b", "2"]],
    "const u = new URL('https://a.example/x'); u.pathname = '/é y'; u.port = '8080'; u.hash = 'h'; return u": (
        "https://a.example:8080/%C3%A9%20y#h"
    ),
    "const u = new URL('https://a.example/x'); u.port = 'x'; u.protocol = 'mailto'; u.host = 'a b'; return u": (
        "https://a.example/x"
    ),
    "return String(new URLSearchParams({ a: 'b&c', d: 'é ~*' }))": "a=b%26c&d=%C3%A9+%7E*",
    "return new URLSearchParams('?a=1&a=%C3%A9+%zz%ff&b').getAll('a')": ["1", "é %zz\ufffd"],
    "const p = new URLSearchParams('b=1&a=2&b=3'); p.sort(); p.delete('b', '1'); return `${p} ${p.size}`": "a=2&b=3 2",
}


@pytest.mark.parametrize("body", URLS)
async def test_urls_are_parsed_as_the_web_parses_them(sandbox: Sandbox, body: str) -> None:
    assert await returned(sandbox, f"return [(() => {{ {body} }})()]") == [URLS[body]]


VALUES = {
    r"return new TextEncoder().encode('aé€😀\ud800').length": 13,
    "return new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 97, 255, 98]))": "a\ufffdb",
    "try { new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([255])) } catch (e) { return e.name }": (
        "TypeError"
    ),
    "try { new TextDecoder('utf-7') } catch (e) { return e.name }": "RangeError",
    r"return btoa('Hi\xff') + atob('SGk=')": "SGn/Hi",
    "return structuredClone({ d: new Date(0), m: new Map([[1, { a: [2] }]]) }).m.get(1).a[0]": 2,
    "const a = {}; a.self = a; const b = structuredClone(a); return b !== a && b.self === b": True,
    "try { structuredClone(() => 1) } catch (e) { return e.name }": "DataCloneError",
    "return /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(crypto.randomUUID())": True,
    "return crypto.getRandomValues(new Uint32Array(4)).length": 4,
    "return [...new Headers({ B: '1', a: ' 2 ' })]": [["a", "2"], ["b", "1"]],
    "return new Request('https://a.example', { method: 'put', body: 'x' }).clone().method": "PUT",
    "return await new Response('{\"a\":1}', { status: 201 }).json()": {"a": 1},
    "return await Response.json([1]).text()": "[1]",
    "return Response.json([1]).headers.get('content-type')": "application/json",
    "try { new Response('', { status: 99 }) } catch (e) { return e.name }": "RangeError",
    "return [[3, 1, 2].toSorted(), Object.groupBy([1, 2], (n) => n % 2 ? 'odd' : 'even')]": [
        [1, 2, 3],
        {"odd": [1], "even": [2]},
    ],
}


@pytest.mark.parametrize("body", VALUES)
async def test_the_webs_other_classes_behave(sandbox: Sandbox, body: str) -> None:
    assert await returned(sandbox, f"return [await (async () => {{ {body} }})()]") == [VALUES[body]]
