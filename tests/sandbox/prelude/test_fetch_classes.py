"""Headers, Request, Response, Blob, File, FormData and `fetch` as the standards have them.

https://fetch.spec.whatwg.org/, https://xhr.spec.whatwg.org/#interface-formdata, https://w3c.github.io/FileAPI/
"""

import asyncio
import json
from typing import Any

import pytest

from hairtrigger.sandbox.protocol.poll import HttpRequest, HttpResponse, PollErrorKind
from hairtrigger.sandbox.service.sandbox import Sandbox
from tests.sandbox.programs import Internet, answer, failed, returned

pytestmark = pytest.mark.anyio

THROWN = "const thrown = (f) => { try { f(); return 'nothing' } catch (error) { return error.name } };"
REJECTED = "const rejected = (promise) => promise.then(() => 'nothing', (error) => error.name ?? error);"


async def value(sandbox: Sandbox, body: str, response: HttpResponse | None = None) -> Any:
    """Run the body of an async function as polling code, and return its result."""
    code = f"{THROWN} {REJECTED} return [await (async () => {{ {body} }})()]"
    (returns,) = await returned(sandbox, code, Internet(response or answer([])).fetch)
    return returns


HEADERS = {
    "return [...new Headers([['b', '2'], ['A', '1'], ['b', '3']])]": [["a", "1"], ["b", "2, 3"]],
    "return [...new Headers(new Headers({ a: '1' })).values()]": ["1"],
    "return new Headers(new Map([['A', 1]])).get('a')": "1",
    "const h = new Headers(); h.append('set-cookie', 'a'); h.append('Set-Cookie', 'b'); return [...h.keys()]": (
        ["set-cookie", "set-cookie"]
    ),
    "return new Headers([['set-cookie', 'a'], ['set-cookie', 'b']]).get('Set-Cookie')": "a, b",
    r"return new Headers({ a: '\r\n \tx y\t ' }).get('a')": "x y",
    "return new Headers({ a: '' }).get('a')": "",
    "const h = new Headers({ a: '1' }); h.set('A', '2'); h.delete('nope'); return [h.has('a'), h.get('a')]": [
        True,
        "2",
    ],
    "return [new Headers(Object.create({ a: '1' })).get('a'), new Headers(() => 1).get('a')]": [None, None],
    "const seen = []; new Headers({ b: '2', a: '1' }).forEach(function (...all) { seen.push(all.slice(0, 2), +this) },"
    "7); return seen": [["1", "a"], 7, ["2", "b"], 7],
    # An iterator sees changes that are made while it runs.
    "const h = new Headers({ a: '1', b: '2' }), seen = []; for (const [name] of h) { seen.push(name); h.delete('b') }"
    "return seen": ["a"],
    "const i = new Headers({ a: '1' }).entries(), p = Object.getPrototypeOf(i);"
    "return [String(i), Object.keys(p), Object.hasOwn(p, 'constructor'), i[Symbol.iterator]() === i, i.next().value]": (
        ["[object Headers Iterator]", ["next"], False, True, ["a", "1"]]
    ),
    "return Headers.prototype.entries === Headers.prototype[Symbol.iterator]": True,
    "return [Headers.name, Headers.length, Headers.prototype.append.length, String(new Headers())]": (
        ["Headers", 0, 2, "[object Headers]"]
    ),
    "const { enumerable, writable, configurable } = Object.getOwnPropertyDescriptor(Headers.prototype, 'get');"
    "return [enumerable, writable, configurable]": [True, True, True],
}

REFUSED_HEADERS = [
    "new Headers(null)",
    "new Headers('a: 1')",
    "new Headers([['a']])",
    "new Headers([['a', '1', '2']])",
    "new Headers(['ab'])",
    "new Headers({ 'a b': '1' })",
    "new Headers({ '': '1' })",
    "new Headers({ ü: '1' })",
    r"new Headers({ a: '1\r\n2' })",
    r"new Headers({ a: '\0' })",
    "new Headers({ a: '€' })",
    "new Headers({ a: Symbol() })",
    "new Headers({ [Symbol()]: '1' })",
    "new Headers().append('a')",
    "new Headers().get()",
    "new Headers().get('a b')",
    "new Headers().forEach(1)",
    "Headers()",
    "Headers.prototype.get.call({}, 'a')",
    "Headers.prototype.entries.call({})",
    "Object.create(Headers.prototype).has('a')",
    "Response.error().headers.append('a', '1')",
    "Response.redirect('https://a.example').headers.delete('location')",
]

REQUESTS = {
    "const r = new Request('https://A.example'); return [r.method, r.url, r.redirect, r.mode, r.credentials, r.cache,"
    "r.referrer, r.referrerPolicy, r.integrity, r.keepalive, r.duplex, r.destination, r.body, r.bodyUsed]": (
        [
            *("GET", "https://a.example/", "follow", "cors", "same-origin", "default", "about:client"),
            *("", "", False, "half", "", None, False),
        ]
    ),
    "const r = new Request('https://a.example', { method: 'post', body: 'x', cache: 'no-store' });"
    "return [r.method, r.cache, r.headers.get('content-type'), await r.text(), r.bodyUsed]": (
        ["POST", "no-store", "text/plain;charset=UTF-8", "x", True]
    ),
    "const r = new Request('https://a.example', { method: 'PUT', body: 'x', headers: { A: '1' } }), s = new Request(r);"
    "return [r.bodyUsed, s.bodyUsed, s.method, s.headers.get('a'), await s.text()]": [True, False, "PUT", "1", "x"],
    "const r = new Request('https://a.example', { method: 'POST', body: 'x' }), s = r.clone(); await r.text();"
    "return [s.bodyUsed, await s.text()]": [False, "x"],
    "const r = new Request('https://a.example', { method: 'POST', body: 'x' }); await r.text();"
    "return [thrown(() => r.clone()), thrown(() => new Request(r)), await rejected(fetch(r))]": ["TypeError"] * 3,
    # The signal of a request follows the signal that the request was made with.
    "const c = new AbortController(), r = new Request('https://a.example', { signal: c.signal }); c.abort('why');"
    "return [r.signal !== c.signal, r.signal.aborted, r.signal.reason, new Request(r).signal.reason]": (
        [True, True, "why", "why"]
    ),
    "const c = new AbortController(), r = new Request('https://a.example', { signal: c.signal }), { signal } = r;"
    "c.abort(); return [r.signal === signal, signal.aborted, new Request(r, { signal: null }).signal.aborted]": (
        [True, True, False]
    ),
    "return new Request('https://a.example', { get method() { return 'put' }, window: null }).method": "PUT",
    "return Object.getPrototypeOf(Request.prototype) === Object.prototype": True,
}

REFUSED_REQUESTS = [
    "new Request()",
    "new Request('relative')",
    "new Request('https://u:p@a.example')",
    "new Request('https://a.example', { method: 'a b' })",
    "new Request('https://a.example', { body: 'x' })",
    "new Request('https://a.example', { mode: 'navigate' })",
    "new Request('https://a.example', { cache: 'only-if-cached' })",
    "new Request('https://a.example', { credentials: 'maybe' })",
    "new Request('https://a.example', { priority: 'urgent' })",
    "new Request('https://a.example', { referrerPolicy: 'x' })",
    "new Request('https://a.example', { duplex: 'full' })",
    "new Request('https://a.example', { window: {} })",
    "new Request('https://a.example', { signal: Object.create(AbortSignal.prototype) })",
    "new Request('https://a.example', 'options')",
    "new Request('https://a.example', { method: 'POST', body: new ReadableStream() })",
    "Request.prototype.clone.call({})",
    "Object.getOwnPropertyDescriptor(Request.prototype, 'url').get.call({})",
]

RESPONSES = {
    "const r = new Response();return [r.status, r.ok, r.statusText, r.type, r.url, r.redirected, r.body, r.bodyUsed]": (
        [200, True, "", "default", "", False, None, False]
    ),
    "return [await new Response().text(), (await new Response(null).arrayBuffer()).byteLength]": ["", 0],
    "const r = new Response(); await r.text(); return [r.bodyUsed, await r.text()]": [False, ""],
    "const r = Response.json({ a: 'ü' }, { status: 201, headers: { 'content-type': 'a/b' } });"
    "return [r.status, r.headers.get('content-type'), await r.json()]": [201, "a/b", {"a": "ü"}],
    "const r = Response.redirect('https://a.example/ü', 307); return [r.status, r.headers.get('location')]": (
        [307, "https://a.example/%C3%BC"]
    ),
    "const r = Response.error(); return [r.type, r.status, r.ok]": ["error", 0, False],
    r"return await new Response('\ufeff{}').text()": "{}",
    "return [...await new Response(new Uint8Array([0, 255]).subarray(1)).bytes()]": [255],
    "const bytes = new Uint8Array([1]), r = new Response(bytes); bytes[0] = 2; return [...await r.bytes()]": [1],
    "const r = new Response('x'), s = r.clone(); return [await r.text(), s.bodyUsed, await s.text()]": [
        "x",
        False,
        "x",
    ],
    "const r = new Response('xyz'), { body } = r, s = r.clone();"
    "return [body === r.body, await r.text(), await s.text(), body.locked]": [False, "xyz", "xyz", True],
    "const r = new Response('ab'), chunks = []; for await (const chunk of r.body) chunks.push(...chunk);"
    "return [chunks, r.bodyUsed, await rejected(r.text())]": [[97, 98], True, "TypeError"],
    "const r = new Response('ab'); await r.text(); return [r.body.locked, await rejected(r.json())]": [
        True,
        "TypeError",
    ],
    "const r = new Response('ab'); r.body.getReader(); return [r.bodyUsed, await rejected(r.text())]": [
        False,
        "TypeError",
    ],
    "const s = new ReadableStream({ start(c) { c.enqueue(new Uint8Array([97])); c.enqueue(new Uint8Array([98]));"
    "c.close() } }); const r = new Response(s); return [r.body === s, await r.text()]": [True, "ab"],
    "return await rejected(new Response(new ReadableStream({ start(c) { c.enqueue('a'); c.close() } })).text())": (
        "TypeError"
    ),
    "return await rejected(new Response(new ReadableStream({ start(c) { c.error(new RangeError()) } })).text())": (
        "RangeError"
    ),
    "const b = await new Response('x', { headers: { 'content-type': 'Text/HTML; Charset=\"a b\"' } }).blob();"
    "return [b.type, b.size, b instanceof Blob]": ['text/html;charset="a b"', 1, True],
    "return [await rejected(new Response('{').json()), await rejected(Response.prototype.text.call({}))]": (
        ["SyntaxError", "TypeError"]
    ),
    "const r = new Response(new URLSearchParams({ a: 'b c' }));"
    "return [r.headers.get('content-type'), [...await r.formData()]]": (
        ["application/x-www-form-urlencoded;charset=UTF-8", [["a", "b c"]]]
    ),
    "return [await rejected(new Response('a=1').formData()), await rejected(new Response().formData())]": ["TypeError"]
    * 2,
}

REFUSED_RESPONSES = {
    "new Response('', { status: 199 })": "RangeError",
    "new Response('', { status: 600 })": "RangeError",
    "new Response('', { status: 204 })": "TypeError",
    "new Response('', { statusText: 'a\\nb' })": "TypeError",
    "new Response('', 1)": "TypeError",
    "new Response(Symbol())": "TypeError",
    "Response.redirect('https://a.example', 200)": "RangeError",
    "Response.redirect('relative')": "TypeError",
    "Response.json()": "TypeError",
    "Response.json(() => 1)": "TypeError",
    "Response.json({}, { status: 204 })": "TypeError",
    "Response()": "TypeError",
}

BLOBS = {
    "const b = new Blob(['a', new Blob(['b']), new Uint8Array([99]).buffer], { type: 'A/B' });"
    "return [b.size, b.type, await b.text(), String(b)]": [3, "a/b", "abc", "[object Blob]"],
    r"return await new Blob(['a\r\nb\rc'], { endings: 'native' }).text()": "a\nb\nc",
    r"return new Blob([], { type: 'te\xffxt' }).type": "",
    "const b = new Blob(['abcdef']).slice(1, -1, 'x/y'); return [await b.text(), b.type, b.slice(9).size]": (
        ["bcde", "x/y", 0]
    ),
    "const b = new Blob(['ab']), bytes = await b.bytes(); bytes[0] = 0; return await b.text()": "ab",
    "return await new Response(new Blob(['ab']).stream()).text()": "ab",
    "const f = new File(['a'], 'ü.txt', { type: 't/p', lastModified: 7 });"
    "return [f.name, f.size, f.type, f.lastModified, f instanceof Blob, String(f)]": (
        ["ü.txt", 1, "t/p", 7, True, "[object File]"]
    ),
    "return [thrown(() => new Blob('a')), thrown(() => new Blob([], { endings: 'x' })), thrown(() => new File([])),"
    "thrown(() => Blob.prototype.slice.call({})), thrown(() => new Blob([Symbol()]))]": ["TypeError"] * 5,
}

FORMS = {
    "const f = new FormData(); f.append('a', '1'); f.append('a', 2); f.append('b', '3'); f.set('a', 'x');"
    "f.delete('b'); return [[...f], f.getAll('a'), f.get('b'), f.has('a')]": [[["a", "x"]], ["x"], None, True],
    "const f = new FormData(); f.append('a', new Blob(['x'])); f.append('b', new Blob(['x']), 'n');"
    "return [...f.values()].map((file) => [file.name, file instanceof File])": [["blob", True], ["n", True]],
    "const f = new FormData(), file = new File(['x'], 'n'); f.set('a', file); return f.get('a') === file": True,
    "return [thrown(() => new FormData({})), thrown(() => new FormData().append('a')),"
    "thrown(() => new FormData().append('a', 'b', 'c')), thrown(() => FormData.prototype.get.call({}, 'a'))]": (
        ["TypeError"] * 4
    ),
    r"const f = new FormData(); f.append('ü\"\n', 'x\ny');"
    r"f.append('f', new File(['\0\xff\r\n--'], 'a\"b', { type: 'a/b' }));"
    "f.append('empty', ''); const [one, two, three] = await new Response(f).formData();"
    "return [one, two[0], two[1].name, two[1].type, await two[1].text(), three]": (
        [['ü"\r\n', "x\r\ny"], "f", 'a"b', "a/b", "\0\xff\r\n--", ["empty", ""]]
    ),
    r"const text = '--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--\r\n';"
    "const type = { headers: { 'content-type': 'multipart/form-data; boundary=x' } };"
    "const broken = [text.slice(0, 50), text.replace('form-data', 'x'), '', 'x'];"
    "const read = (text) => new Response(text, type).formData();"
    "return [[...await read(text)], await Promise.all(broken.map((text) => rejected(read(text))))]": (
        [[["a", "1"]], ["TypeError"] * 4]
    ),
}

FETCHED = {
    "const r = await fetch('https://a.example/'); return thrown(() => r.headers.set('a', '1'))": "TypeError",
    "const r = await fetch('https://a.example/'), h = new Headers(r.headers); h.set('a', '1'); return h.get('a')": "1",
    "const r = await fetch('https://a.example/'); return [r.headers === r.headers, r.body === r.body]": [True, True],
    "const r = await fetch('https://a.example/'), { value } = await r.body.getReader().read(); return [...value]": [
        91,
        93,
    ],
    "const r = await fetch('https://a.example/', { method: 'HEAD' }); return [r.body, await r.text()]": [None, ""],
    "return fetch.length": 1,
    "return [await rejected(fetch({ toString() { throw new RangeError() } }))]": ["RangeError"],
    # Once the signal aborts, the body cannot be read either.
    "const c = new AbortController(), r = await fetch('https://a.example/', { signal: c.signal });"
    "const { body } = r.clone(); c.abort('why');"
    "return [await rejected(r.json()), await rejected(body.getReader().read())]": ["why", "why"],
    "const c = new AbortController(), r = await fetch('https://a.example/', { signal: c.signal });"
    "const text = await r.text(); c.abort(); return [text, r.bodyUsed]": ["[]", True],
    "const r = await fetch('data:text/html;base64,SGk='); return [r.headers.get('content-type'), await r.text()]": (
        ["text/html", "Hi"]
    ),
    "const r = await fetch('data:,a%20%C3%BC#x'); return [r.headers.get('content-type'), await r.text(), r.ok]": (
        ["text/plain;charset=US-ASCII", "a ü", True]
    ),
}


@pytest.mark.parametrize(
    ("body", "expected"),
    [item for table in (HEADERS, REQUESTS, RESPONSES, BLOBS, FORMS, FETCHED) for item in table.items()],
)
async def test_the_classes_do_what_their_standards_say(sandbox: Sandbox, body: str, expected: Any) -> None:
    assert await value(sandbox, body) == expected


@pytest.mark.parametrize(
    ("expression", "name"),
    [*((each, "TypeError") for each in REFUSED_HEADERS + REFUSED_REQUESTS), *REFUSED_RESPONSES.items()],
)
async def test_what_the_standards_refuse_is_refused(sandbox: Sandbox, expression: str, name: str) -> None:
    assert await value(sandbox, f"return thrown(() => {expression})") == name


async def test_a_null_body_status_has_no_body(sandbox: Sandbox) -> None:
    body = "const r = await fetch('https://a.example/'); return [r.status, r.ok, r.body, await r.text()]"

    assert await value(sandbox, body, answer(b"", status=204)) == [204, True, None, ""]


async def test_every_kind_of_body_is_sent(sandbox: Sandbox) -> None:
    internet = Internet(answer([]))
    code = """
        const form = new FormData(), url = 'https://a.example/';
        form.append('a', 'ü');
        form.append('f', new File(['xyz'], 'n.txt', { type: 'text/plain' }));
        const chunks = (...all) => new ReadableStream({
            start(controller) {
                for (const one of all) controller.enqueue(new TextEncoder().encode(one));
                controller.close();
            },
        });
        for (const body of [form, new Blob(['blob'], { type: 'a/b' }), new DataView(new ArrayBuffer(2)), '', [1, 2]])
            await fetch(url, { method: 'POST', body });
        await fetch(url, { method: 'POST', body: chunks('one', 'two'), duplex: 'half' });
        await fetch(new Request(url, { method: 'POST', body: chunks('three'), duplex: 'half' }));
        await fetch(new Request(new Request(url, { method: 'POST', body: chunks('four'), duplex: 'half' })));
        return []
    """

    await returned(sandbox, code, internet.fetch)

    form, *others = internet.requests
    kind, boundary = dict(form.headers)["content-type"].split("; boundary=")
    assert kind == "multipart/form-data"
    assert (
        form.body
        == (
            f'--{boundary}\r\nContent-Disposition: form-data; name="a"\r\n\r\nü\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="f"; filename="n.txt"\r\n'
            f"Content-Type: text/plain\r\n\r\nxyz\r\n--{boundary}--\r\n"
        ).encode()
    )
    text = (("content-type", "text/plain;charset=UTF-8"),)
    assert [(request.headers, request.body) for request in others] == [
        ((("content-type", "a/b"),), b"blob"),
        ((), b"\0\0"),
        (text, b""),
        (text, b"1,2"),
        ((), b"onetwo"),
        ((), b"three"),
        ((), b"four"),
    ]


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://a.example/x/y.z?q=1&r=[2]", "https://a.example/x/y.z?q=1&r=[2]"),
        ("https://a.example", "https://a.example/"),
        ("HTTPS://A.example/", "https://a.example/"),
        ("https://a.example:443/", "https://a.example/"),
        ("https://a.example:8443/", "https://a.example:8443/"),
        ("https://a.example/b/../c/./d", "https://a.example/c/d"),
        ("https://a.example/b/%2E%2e/c", "https://a.example/c"),
        ("https://a.example/b/.%2e", "https://a.example/"),
        ("https://a.example/a b'?c'd", "https://a.example/a%20b'?c%27d"),
        ("https://a.example/x\\y", "https://a.example/x/y"),
        ("https://a.example/#x", "https://a.example/"),
        ("  https://a.example/\n", "https://a.example/"),
        ("https://127.1/", "https://127.0.0.1/"),
        ("https://a.0x7f/", None),
        ("https://a.example%2F/", None),
        ("https://a.example/b/%2e%2E/c?%2e", "https://a.example/c?%2e"),
        ("https://u@a.example/", None),
    ],
)
async def test_a_url_is_sent_as_it_is_parsed(sandbox: Sandbox, url: str, sent: str | None) -> None:
    internet = Internet(answer([]))
    code = f"return [await fetch({json.dumps(url)}).then(() => 'sent', (error) => error.name)]"

    assert await returned(sandbox, code, internet.fetch) == ["sent" if sent else "TypeError"]
    assert [request.url for request in internet.requests] == ([sent] if sent else [])


@pytest.mark.parametrize(
    ("integrity", "outcome"),
    [
        ("sha256-T1PNoYwrqgwDVLtfmj7L5e0Sq02OEbqHPC8RFhICuUU=", "intact"),  # the hash of []
        ("md5-x sha256-AAAA sha256-T1PNoYwrqgwDVLtfmj7L5e0Sq02OEbqHPC8RFhICuUU?x", "intact"),
        ("sha1-AAAA", "intact"),  # sha1 does not count
        ("sha256-AAAA", "TypeError"),
        ("sha256-T1PNoYwrqgwDVLtfmj7L5e0Sq02OEbqHPC8RFhICuUU= sha512-AAAA", "TypeError"),
    ],
)
async def test_a_body_that_is_not_what_its_integrity_says_is_refused(
    sandbox: Sandbox, integrity: str, outcome: str
) -> None:
    body = (
        f"return await fetch('https://a.example/', {{ integrity: {integrity!r} }}).then(() => 'intact', (e) => e.name)"
    )

    assert await value(sandbox, body) == outcome


async def test_the_builders_dialect_sends_forms_and_blobs_as_they_are(sandbox: Sandbox) -> None:
    internet = Internet(answer([]))
    code = """
        const url = 'https://a.example/', method = 'POST', form = new FormData();
        form.append('a', '1');
        await ld.request({ url, method, body: new Blob(['x'], { type: 'a/b' }) });
        await ld.request({ url, method, body: form });
        return []
    """

    await returned(sandbox, code, internet.fetch)

    blob, form = internet.requests
    assert (blob.headers, blob.body) == ((("content-type", "a/b"),), b"x")
    assert dict(form.headers)["content-type"].startswith("multipart/form-data; boundary=")


async def test_a_stream_that_fails_is_not_sent(sandbox: Sandbox) -> None:
    internet = Internet(answer([]))
    body = "new ReadableStream({ pull(controller) { controller.error(new RangeError('gone')) } })"

    error = await failed(
        sandbox,
        f"await fetch('https://a.example/', {{ method: 'POST', duplex: 'half', body: {body} }})",
        internet.fetch,
    )

    assert (error.name, error.message) == ("RangeError", "gone")
    assert internet.requests == []


async def test_an_endless_stream_is_not_collected_for_ever(sandbox: Sandbox) -> None:
    body = "new ReadableStream({ pull(controller) { controller.enqueue(new Uint8Array(500000)) } })"
    code = f"await fetch('https://a.example/', {{ method: 'POST', duplex: 'half', body: {body} }})"

    error = await failed(sandbox, code, Internet(answer([])).fetch)

    assert (error.kind, error.name) == (PollErrorKind.JS_ERROR, "TypeError")
    assert error.message == "A body is larger than 1048576 bytes"


async def test_headers_no_one_could_send_are_not_received(sandbox: Sandbox) -> None:
    response = HttpResponse(200, "OK", "https://a.example/", False, (("a b", "1"), ("c", "x\0"), ("d", "1")), b"")
    body = "return [...(await fetch('https://a.example/')).headers]"

    assert await value(sandbox, body, response) == [["d", "1"]]


@pytest.mark.parametrize(
    "call",
    [
        "fetch('https://a.example/', { headers: { 'a b': '1' } })",
        "fetch('nope')",
        "fetch('https://a.example/').then((response) => response.json())",
        "new Response('{').json()",
        "fetch('https://a.example/', { signal: AbortSignal.abort(new Error('mine')) })",
    ],
)
async def test_an_error_of_a_fetch_has_the_users_line(sandbox: Sandbox, call: str) -> None:
    error = await failed(sandbox, f"const a = 1;\n\nawait {call};\nreturn []", Internet(answer(b"<html>")).fetch)

    assert (error.kind, error.line) == (PollErrorKind.JS_ERROR, 3)


async def test_an_abort_between_two_fetches_ends_only_the_one_under_way(sandbox: Sandbox) -> None:
    async def second_hangs(request: HttpRequest) -> HttpResponse:
        if request.url.endswith("2"):
            await asyncio.Event().wait()
        return answer({"a": 1})

    code = """
        const controller = new AbortController(), { signal } = controller;
        const first = await (await fetch('https://a.example/1', { signal })).json();
        const second = fetch('https://a.example/2', { signal }).catch((error) => error);
        setTimeout(() => controller.abort(), 5);
        const third = fetch('https://a.example/3').then((response) => response.json());
        return [first, (await second).name, await third, signal.aborted]
    """

    assert await returned(sandbox, code, second_hangs) == [{"a": 1}, "AbortError", {"a": 1}, True]


async def test_a_large_body_is_read_without_a_look_at_its_bytes(sandbox: Sandbox) -> None:
    issues = [{"id": number, "title": f"Größe {number}", "text": "x" * 200} for number in range(3900)]
    code = """
        const response = await fetch('https://a.example/'), copy = response.clone(), other = response.clone();
        return [(await response.json()).length, (await copy.text()).length, (await other.blob()).size]
    """

    value = await returned(sandbox, code, Internet(answer(issues)).fetch)

    text = json.dumps(issues)
    assert value == [3900, len(text), len(text.encode())]
