"""The web's own classes that polling code finds: streams, encodings, cryptography, events, timers, copies, console."""

import asyncio
import gzip
import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import pytest

from hairtrigger.sandbox.protocol.poll import Limits, PollError, PollErrorKind
from hairtrigger.sandbox.service.sandbox import Sandbox
from hairtrigger.sandbox.worker.natives import CODERS, Coders, single_byte_tables
from tests.sandbox.programs import failed, nowhere, program, returned

pytestmark = pytest.mark.anyio


async def value_of(sandbox: Sandbox, body: str) -> Any:
    (value,) = await returned(sandbox, f"return [await (async () => {{ {body} }})()]")
    return value


STREAMS = {
    "return Array.fromAsync(new ReadableStream({ start(c) { c.enqueue(1); c.enqueue('b'); c.close() } }))": [1, "b"],
    "return Array.fromAsync(ReadableStream.from([1, Promise.resolve(2)]))": [1, 2],
    "return Promise.all(ReadableStream.from([1, 2]).tee().map((branch) => Array.fromAsync(branch)))": [[1, 2], [1, 2]],
    """const seen = [];
       const twice = new TransformStream({ transform(chunk, c) { c.enqueue(chunk); c.enqueue(chunk) } });
       const into = new WritableStream({ write(chunk) { seen.push(chunk) }, close() { seen.push('end') } });
       await ReadableStream.from(['a', 'b']).pipeThrough(twice).pipeTo(into);
       return seen""": ["a", "a", "b", "b", "end"],
    """const bytes = new ReadableStream({
           type: 'bytes', autoAllocateChunkSize: 4,
           pull(c) { c.byobRequest.view[0] = 7; c.byobRequest.respond(1) },
       });
       const reader = bytes.getReader({ mode: 'byob' });
       const { value, done } = await reader.read(new Uint8Array(3));
       return [...value, value.buffer.byteLength, done]""": [7, 3, False],
    """const start = (c) => { c.enqueue(new Uint8Array([1, 2, 3])); c.close() };
       const bytes = new ReadableStream({ type: 'bytes', start });
       const [one, other] = bytes.tee();
       return [[...(await new Response(one).bytes())], [...(await new Response(other).bytes())]]""": [
        [1, 2, 3],
        [1, 2, 3],
    ],
    "const s = new ReadableStream(); s.getReader(); return s.cancel().catch((error) => error.name)": "TypeError",
    """const c = new AbortController(); c.abort('why');
       const { signal } = c;
       return new ReadableStream().pipeTo(new WritableStream(), { signal }).catch((reason) => reason)""": "why",
    """const w = new WritableStream({ write() { throw new RangeError('full') } }).getWriter();
       return w.write(1).catch((error) => error.message)""": "full",
    """const transform = new TransformStream({ async cancel(reason) { throw reason + '!' } });
       const ends = [transform.readable.cancel('why'), transform.writable.close()];
       return (await Promise.allSettled(ends)).map(({ reason }) => reason)""": ["why!", "why!"],
    """const start = (c) => { c.enqueue(new Uint8Array([1, 2])); setTimeout(() => c.enqueue(new Uint8Array([3])), 1) };
       const reader = new ReadableStream({ type: 'bytes', start }).getReader({ mode: 'byob' });
       return [...(await reader.read(new Uint8Array(4), { min: 3 })).value]""": [1, 2, 3],
    """const stream = new ReadableStream(), reader = stream.getReader(), read = reader.read();
       reader.releaseLock();
       return [stream.locked, await read.catch((error) => error.name)]""": [False, "TypeError"],
    "try { ReadableStream.from({}) } catch (error) { return error.name }": "TypeError",
    "return new ByteLengthQueuingStrategy({ highWaterMark: 3 }).size(new Uint8Array(5))": 5,
    "return new ReadableStream({}, new CountQueuingStrategy({ highWaterMark: 3 })).locked": False,
}


@pytest.mark.parametrize("body", STREAMS)
async def test_streams_flow_as_on_the_web(sandbox: Sandbox, body: str) -> None:
    assert await value_of(sandbox, body) == STREAMS[body]


@pytest.mark.parametrize("form", ["gzip", "deflate", "deflate-raw"])
async def test_what_is_compressed_comes_back(sandbox: Sandbox, form: str) -> None:
    body = f"""
        const text = 'hello '.repeat(50000);
        const small = await new Response(new Response(text).body.pipeThrough(new CompressionStream('{form}'))).bytes();
        const back = new Response(new Response(small).body.pipeThrough(new DecompressionStream('{form}')));
        return [small.length < 2000, (await back.text()) === text]
    """
    assert await value_of(sandbox, body) == [True, True]


@pytest.mark.parametrize(
    "damage", ["bytes.slice(0, -1)", "new Uint8Array([...bytes, 0])", "bytes.fill(7, 12)", "new Uint8Array()"]
)
async def test_damaged_data_is_a_type_error(sandbox: Sandbox, damage: str) -> None:
    body = f"""
        const packed = new Response('some text').body.pipeThrough(new CompressionStream('gzip'));
        const bytes = await new Response(packed).bytes();
        const stream = new Response({damage}).body.pipeThrough(new DecompressionStream('gzip'));
        return new Response(stream).text().catch((error) => error.name)
    """
    assert await value_of(sandbox, body) == "TypeError"


async def test_a_bomb_ends_at_the_memory_limit(compiled: bytes) -> None:
    bomb = """
        let bytes = new Uint8Array(20e6);
        const packed = await new Response(new Response(bytes).body.pipeThrough(new CompressionStream('gzip'))).bytes();
        bytes = null;
        const all = [];
        for (let i = 0; i < 10; i++) {
            const stream = new Response(packed).body.pipeThrough(new DecompressionStream('gzip'));
            for await (const chunk of stream) all.push(chunk);
        }
        return []
    """
    patient = Limits(cpu=timedelta(hours=1), wall=timedelta(hours=1))
    async with Sandbox.start(workers=1, limits=patient, compiled=compiled) as sandbox:
        error = await failed(sandbox, bomb)

        assert error.kind is PollErrorKind.MEMORY_LIMIT
        assert await returned(sandbox, "return [1]") == [1]


async def test_a_poll_holds_few_compressors_at_once(sandbox: Sandbox) -> None:
    body = """
        const tries = Array.from({ length: 20 }, async () => {
            const { writable, readable } = new CompressionStream('gzip');
            const reading = readable.getReader().read();
            await writable.getWriter().write(new Uint8Array(1));
            return reading
        });
        return (await Promise.allSettled(tries)).filter(({ status }) => status === 'rejected').length
    """
    assert await value_of(sandbox, body) == 20 - CODERS


def test_decompressed_data_comes_in_bounded_pieces() -> None:
    coders = Coders()
    unpacker = coders.open("decompress", "gzip")
    assert unpacker is not None

    pieces = [coders.write(unpacker, gzip.compress(bytes(10_000_000)))]
    while piece := coders.more(unpacker):
        pieces.append(piece)

    sizes = [len(piece or b"") for piece in pieces]
    assert sum(sizes) == 10_000_000
    assert max(sizes) == 65_536
    assert coders.end(unpacker) is None


TEXTS = {
    "return new TextDecoder('ascii').encoding": "windows-1252",
    r"return new TextDecoder(' \tKOI8-R\n').decode(new Uint8Array([0xf0, 0xd2, 0x80]))": "Пр─",
    "return new TextDecoder('windows-1252').decode(new Uint8Array([0x80, 0x81, 0x9f]))": "€\x81Ÿ",
    "return new TextDecoder('utf-16').decode(new Uint8Array([0xff, 0xfe, 0x61, 0, 0x3d, 0xd8, 0, 0xde]))": "a😀",
    "return new TextDecoder('utf-16be').decode(new Uint8Array([0, 0x61, 0xd8, 0]))": "a\ufffd",
    """const d = new TextDecoder(); const bytes = [0xef, 0xbb, 0xbf, 0xf0, 0x9f, 0x98, 0x80, 0xe2, 0x82];
       const texts = bytes.map((byte) => d.decode(new Uint8Array([byte]), { stream: true }));
       return texts.join('') + d.decode()""": "😀\ufffd",
    """try { new TextDecoder('windows-1253', { fatal: true }).decode(new Uint8Array([0xaa])) }
       catch (error) { return error.name }""": "TypeError",
    "try { new TextDecoder('iso-2022-kr') } catch (error) { return error.name }": "RangeError",
    """const bytes = new Uint8Array(5);
       const { read, written } = new TextEncoder().encodeInto('a😀é', bytes); return [read, written, ...bytes]""": [
        *[3, 5],
        *"a😀".encode(),
    ],
    "return new TextEncoder().encodeInto('é€', new Uint8Array(4))": {"read": 1, "written": 2},
    r"""const halves = ReadableStream.from(['a\ud83d', '\ude00', '\ud83d']);
        return [...(await new Response(halves.pipeThrough(new TextEncoderStream())).bytes())]""": [
        *"a😀\ufffd".encode()
    ],
    """const bytes = ReadableStream.from([new Uint8Array([0xe2, 0x82]), new Uint8Array([0xac])]);
       return Array.fromAsync(bytes.pipeThrough(new TextDecoderStream()))""": ["€"],
}


@pytest.mark.parametrize("body", TEXTS)
async def test_text_is_decoded_as_the_standard_says(sandbox: Sandbox, body: str) -> None:
    assert await value_of(sandbox, body) == TEXTS[body]


async def test_every_single_byte_encoding_has_its_table(sandbox: Sandbox) -> None:
    tables = single_byte_tables()
    body = f"""
        const bytes = Uint8Array.from({{ length: 128 }}, (_, i) => 128 + i);
        return {json.dumps(list(tables))}.map((label) => new TextDecoder(label).decode(bytes))
    """
    assert await value_of(sandbox, body) == list(tables.values())


@pytest.mark.parametrize("name", ["SHA-1", "SHA-256", "SHA-384", "SHA-512"])
async def test_digests_and_signatures_are_the_ones_everybody_makes(sandbox: Sandbox, name: str) -> None:
    data, key, algorithm = b"some data", b"a key", name.replace("-", "").lower()
    body = f"""
        const [data, secret] = ['some data', 'a key'].map((text) => new TextEncoder().encode(text));
        const key = await crypto.subtle.importKey(
            'raw', secret, {{ name: 'HMAC', hash: '{name}' }}, false, ['sign', 'verify']);
        const signature = await crypto.subtle.sign('HMAC', key, data);
        const wrong = new Uint8Array(signature.slice(0));
        wrong[3] ^= 1;
        return [
            new Uint8Array(await crypto.subtle.digest('{name.lower()}', data)).toHex(),
            new Uint8Array(signature).toHex(),
            await crypto.subtle.verify('HMAC', key, signature, data),
            await crypto.subtle.verify('HMAC', key, wrong, data),
            await crypto.subtle.verify('HMAC', key, signature.slice(1), data),
        ]
    """
    expected = [hashlib.new(algorithm, data).hexdigest(), hmac.digest(key, data, algorithm).hex(), True, False, False]
    assert await value_of(sandbox, body) == expected


HMAC = "{ name: 'HMAC', hash: 'SHA-256' }"
KEYS = {
    f"const key = await crypto.subtle.importKey('raw', new Uint8Array([1, 255]), {HMAC}, true, ['verify', 'sign']);"
    "return crypto.subtle.exportKey('jwk', key)": {
        "kty": "oct",
        "k": "Af8",
        "alg": "HS256",
        "key_ops": ["sign", "verify"],
        "ext": True,
    },
    f"const key = await crypto.subtle.importKey('jwk', {{ kty: 'oct', k: 'Af8' }}, {HMAC}, true, ['sign']);"
    "return [...new Uint8Array(await crypto.subtle.exportKey('raw', key))]": [1, 255],
    f"const key = await crypto.subtle.generateKey({HMAC}, false, ['sign']);"
    "return crypto.subtle.exportKey('raw', key).catch((error) => error.name)": "InvalidAccessError",
    f"const key = await crypto.subtle.generateKey({HMAC}, false, ['sign']);"
    "return crypto.subtle.verify('HMAC', key, new Uint8Array(), new Uint8Array()).catch((error) => error.name)": (
        "InvalidAccessError"
    ),
    f"return crypto.subtle.generateKey({HMAC}, false, ['encrypt']).catch((error) => error.name)": "SyntaxError",
    "return crypto.subtle.encrypt('AES-GCM').catch((error) => [error.name, error.code])": ["NotSupportedError", 9],
    "return crypto.subtle.digest('MD5', new Uint8Array()).catch((error) => error.name)": "NotSupportedError",
    "return crypto.subtle.digest('SHA-1', 'text').catch((error) => error.name)": "TypeError",
    "return crypto.subtle.digest('SHA-1', new Uint8Array(2 ** 24 + 1)).catch((error) => error.name)": "OperationError",
    "return crypto.subtle.sign().catch((error) => error.name)": "TypeError",
    "try { new CryptoKey() } catch (error) { return error.name }": "TypeError",
    "try { crypto.getRandomValues(new Float32Array(1)) } catch (error) { return error.name }": "TypeMismatchError",
    "try { crypto.getRandomValues(new Uint8Array(65537)) } catch (error) { return error.name }": "QuotaExceededError",
}


@pytest.mark.parametrize("body", KEYS)
async def test_keys_are_used_as_they_allow(sandbox: Sandbox, body: str) -> None:
    assert await value_of(sandbox, body) == KEYS[body]


EVENTS = {
    """const target = new EventTarget(), seen = [];
       target.addEventListener('x', () => seen.push('once'), { once: true });
       target.addEventListener('x', () => seen.push('late'));
       target.addEventListener('x', { handleEvent(event) { seen.push(event.eventPhase) } }, true);
       target.dispatchEvent(new Event('x')); target.dispatchEvent(new Event('x'));
       return seen""": [2, "once", "late", 2, "late"],
    """const target = new EventTarget(), seen = [];
       target.addEventListener('x', (event) => { seen.push(1); event.stopImmediatePropagation() });
       target.addEventListener('x', () => seen.push(2));
       target.addEventListener('y', (event) => event.preventDefault(), { passive: true });
       target.dispatchEvent(new Event('x'));
       return [seen, target.dispatchEvent(new Event('y', { cancelable: true }))]""": [[1], True],
    """const target = new EventTarget(), controller = new AbortController();
       let seen = 0;
       target.addEventListener('x', () => seen++, { signal: controller.signal });
       target.dispatchEvent(new Event('x')); controller.abort(); target.dispatchEvent(new Event('x'));
       return seen""": 1,
    "return new CustomEvent('x', { detail: { a: 1 } }).detail": {"a": 1},
    "return [String(new ErrorEvent('x', { message: 'm' })), new ErrorEvent('x').isTrusted]": [
        "[object ErrorEvent]",
        False,
    ],
    """const seen = [], controller = new AbortController(), { signal } = controller;
       const any = AbortSignal.any([new AbortController().signal, AbortSignal.any([signal])]);
       any.onabort = (event) => seen.push(event.isTrusted, any.reason === signal.reason, event.target === any);
       controller.abort(); controller.abort('again');
       return [...seen, signal.reason.name, signal.reason.code]""": [True, True, True, "AbortError", 20],
    """const signal = AbortSignal.timeout(1);
       await new Promise((resolve) => signal.addEventListener('abort', resolve));
       try { signal.throwIfAborted() } catch (error) { return error.name }""": "TimeoutError",
    "try { new AbortSignal() } catch (error) { return error.name }": "TypeError",
}


@pytest.mark.parametrize("body", EVENTS)
async def test_events_reach_their_listeners(sandbox: Sandbox, body: str) -> None:
    assert await value_of(sandbox, body) == EVENTS[body]


UNCAUGHT = {
    "a timer": "setTimeout(() => {\nthrow new RangeError('boo') }, 1)",
    "a microtask": "queueMicrotask(() => {\nthrow new RangeError('boo') })",
    "a listener": "const t = new EventTarget(); t.addEventListener('x', () => {\nthrow new RangeError('boo') });"
    "t.dispatchEvent(new Event('x'))",
    "reportError": "\nreportError(new RangeError('boo'))",
}


@pytest.mark.parametrize("code", UNCAUGHT.values(), ids=UNCAUGHT)
async def test_what_nobody_catches_ends_the_poll_with_its_line(sandbox: Sandbox, code: str) -> None:
    error = await failed(sandbox, f"{code}\nawait new Promise((resolve) => setTimeout(resolve, 50)); return []")

    assert (error.kind, error.name, error.message, error.line) == (PollErrorKind.JS_ERROR, "RangeError", "boo", 2)


TIMERS = {
    """const seen = [];
       setTimeout((...values) => seen.push(...values), 2, 'c', 'd');
       setTimeout(() => { seen.push('a'); queueMicrotask(() => seen.push('microtask')) }, 1);
       setTimeout(() => seen.push('b'), '1');
       await new Promise((resolve) => setTimeout(resolve, 3));
       return seen""": ["a", "microtask", "b", "c", "d"],
    """let ticks = 0;
       await new Promise((resolve) => {
           const id = setInterval(() => { if (++ticks === 3) resolve(clearInterval(id)) }, 1)
       });
       await new Promise((resolve) => setTimeout(resolve, 10));
       return ticks""": 3,
    """clearTimeout(setTimeout(() => { throw 1 }, 0));
       await new Promise((resolve) => setTimeout(resolve, 5));
       return 'calm'""": "calm",
    "try { setTimeout('code') } catch (error) { return error.name }": "TypeError",
    "try { queueMicrotask(1) } catch (error) { return error.name }": "TypeError",
    """const before = [performance.now(), Date.now()];
       await new Promise((resolve) => setTimeout(resolve, 20));
       return performance.now() - before[0] >= 20 && Date.now() - before[1] >= 20""": True,
    "return Math.abs(performance.timeOrigin + performance.now() - Date.now()) <= 1": True,
    "return [navigator.userAgent, self === globalThis]": ["hairtrigger", True],
}


@pytest.mark.parametrize("body", TIMERS)
async def test_time_passes_in_order(sandbox: Sandbox, body: str) -> None:
    assert await value_of(sandbox, body) == TIMERS[body]


COPIES = {
    """const error = new RangeError('x', { cause: { deep: [1] } });
       const copy = structuredClone(error);
       return [copy instanceof RangeError, copy !== error, copy.message, copy.stack === error.stack, copy.cause]""": [
        True,
        True,
        "x",
        True,
        {"deep": [1]},
    ],
    "const c = structuredClone([Object(1n), Object(true), Object('s'), /a/gi]); return c.map(String)": [
        "1",
        "true",
        "s",
        "/a/gi",
    ],
    """const buffer = new ArrayBuffer(8), [bytes, floats] = structuredClone([new Uint8Array(buffer, 1, 2),
           new Float64Array(buffer)]);
       return [bytes.buffer === floats.buffer, bytes.byteOffset, bytes.length, bytes.buffer === buffer]""": [
        *[True, 1, 2, False]
    ],
    """const buffer = new ArrayBuffer(8), copy = structuredClone({ buffer }, { transfer: [buffer] });
       return [buffer.detached, copy.buffer.byteLength]""": [True, 8],
    """const file = structuredClone(new File(['abc'], 'a.txt', { type: 'text/plain' }));
       return [file.name, file.type, await file.text()]""": ["a.txt", "text/plain", "abc"],
    "const sparse = structuredClone([, 1]); return [0 in sparse, sparse.length]": [False, 2],
    'return Object.keys(structuredClone(JSON.parse(\'{"__proto__": {"a": 1}}\')))': ["__proto__"],
}


@pytest.mark.parametrize("body", COPIES)
async def test_copies_are_whole(sandbox: Sandbox, body: str) -> None:
    assert await value_of(sandbox, body) == COPIES[body]


@pytest.mark.parametrize(
    "value",
    [
        *["() => 1", "Symbol()", "new WeakMap()", "Promise.resolve()", "new Headers()", "new AbortController().signal"],
        *["new ReadableStream()", "[].values()", "(function* () {})()", "{ deep: [class {}] }", "new Response('')"],
    ],
)
async def test_what_cannot_be_copied_is_refused(sandbox: Sandbox, value: str) -> None:
    body = f"try {{ structuredClone({value}) }} catch (error) {{ return [error.name, error.code] }}"

    assert await value_of(sandbox, body) == ["DataCloneError", 25]


LINES = {
    "console.log('%s has %d of %o%%', 'a', 4.7, { b: 1 }, 'more')": ['a has 4 of {"b":1}% more'],
    "console.log({ a: [1, 'x', { b: null }] }, undefined, 5n, -0)": ['{"a":[1,"x",{"b":null}]} undefined 5n -0'],
    "const a = {}; a.self = a; console.log(a)": ['{"self":[Circular]}'],
    "console.log(new Map([[1, { a: 2 }]]), new Set(['x']), new Date(0))": [
        'Map(1) {1 => {"a":2}} Set(1) {"x"} 1970-01-01T00:00:00.000Z'
    ],
    "console.error(new TypeError('no'))": ["TypeError: no"],
    "console.group('g'); console.log('in'); console.groupEnd(); console.log('out')": ["g", "  in", "out"],
    "console.count(); console.count(); console.countReset(); console.count()": [
        *["default: 1", "default: 2", "default: 1"]
    ],
    "console.assert(1, 'no'); console.assert(0, 'why', 1)": ["Assertion failed: why 1"],
    "console.time('t'); console.timeEnd('t'); console.timeEnd('t')": ["t: 0 ms", "There is no timer 't'"],
    "console.log(new URL('https://a.example/'), new Headers({ a: '1' }))": [
        'URL "https://a.example/" Headers {"a":"1"}'
    ],
    "console.log({ get a() { throw 1 } })": ["What was to be shown cannot be read."],
    "const { log } = console; log('alone')": ["alone"],
}


@pytest.mark.parametrize("code", LINES)
async def test_the_console_shows_what_a_reader_expects(sandbox: Sandbox, code: str) -> None:
    outcome = await sandbox.run(program(f"{code}; return []"), nowhere)

    assert list(outcome.console) == LINES[code]


async def test_a_huge_value_is_shown_at_the_cost_of_a_line(sandbox: Sandbox) -> None:
    code = """
        const huge = Array.from({ length: 1e5 }, (_, i) => ({ i }));
        for (let i = 0; i < 20; i++) console.log(huge);
        return []
    """
    outcome = await sandbox.run(program(code), nowhere)

    assert len(outcome.console) == 20
    assert {len(line) for line in outcome.console} == {2048}


SHAPES = {
    "return Object.getOwnPropertyDescriptor(ReadableStream.prototype, 'locked').enumerable": True,
    "return Object.getOwnPropertyDescriptor(AbortSignal, 'any').enumerable": True,
    "return Object.getOwnPropertyDescriptor(TextDecoder, 'prototype').writable": False,
    "return Object.keys(globalThis).filter((key) => !['inputs', 'secrets', 'lastPollTime', 'data'].includes(key))": [],
    "return [crypto, crypto.subtle, performance, new Event('x'), new TextEncoder(), console].map(String)": [
        *["[object Crypto]", "[object SubtleCrypto]", "[object Performance]", "[object Event]", "[object TextEncoder]"],
        "[object console]",
    ],
    "return [Event, EventTarget, ReadableStream, TextDecoder, CompressionStream].map(({ length }) => length)": [
        *[1, 0, 0, 0, 1]
    ],
    "try { TextEncoder.prototype.encode.call({}, '') } catch (error) { return error.name }": "TypeError",
    """const kinds = [ReadableStreamDefaultController, CryptoKey, Performance, Navigator, SubtleCrypto, Crypto];
       return kinds.map((Kind) => { try { new Kind() } catch (error) { return error.name } })""": ["TypeError"] * 6,
}


@pytest.mark.parametrize("body", SHAPES)
async def test_interfaces_have_the_shape_of_the_webs(sandbox: Sandbox, body: str) -> None:
    assert await value_of(sandbox, body) == SHAPES[body]


async def test_what_holds_the_classes_together_has_no_name(sandbox: Sandbox) -> None:
    names = ["stamp", "it", "internal", "queueTask", "hash", "hmac", "openCoder", "writeCoder", "SINGLE_BYTE", "report"]
    names += ["readKey", "signByKey", "verifyByKey", "writeKey"]
    code = f"return {json.dumps(names)}.filter((name) => eval(`typeof ${{name}}`) !== 'undefined')"

    assert await returned(sandbox, code) == []


MISUSES = {
    "a time that is no number": "Math.max = () => 'x'; String.prototype.toString = 1; setTimeout(() => 0, 1)",
    "a time that never ends": "Math.max = () => Infinity; setTimeout(() => 0, 1); clearTimeout(setTimeout(() => 0, 0))",
    "too much chance": """const bytes = new Uint8Array(1);
        Object.defineProperty(bytes, 'byteLength', { value: { valueOf: () => 1, toString: () => '9'.repeat(12) } });
        Object.defineProperty(globalThis, 'Uint8Array', { value: class { set() {} } });
        crypto.getRandomValues(bytes)""",
    "another hash": "Array.prototype.includes = () => true; await crypto.subtle.digest('MD5', new Uint8Array(1))",
    "another format": """Array.prototype.includes = () => true;
        new CompressionStream('zip').writable.getWriter().write(new Uint8Array(1)).catch(() => 0); await null""",
    "no text": "Array.prototype.map = function () { return { join: () => Symbol() } }; console.log(1)",
}


@pytest.mark.parametrize("code", MISUSES.values(), ids=MISUSES)
async def test_code_that_gets_around_the_prelude_ends_alone(sandbox: Sandbox, code: str) -> None:
    survivor = "await new Promise((resolve) => setTimeout(resolve, 100)); return ['fine']"

    ended, *fine = await asyncio.gather(
        sandbox.run(program(f"{code}; await new Promise((done) => setTimeout(done, 5)); return []"), nowhere),
        *(returned(sandbox, survivor) for _ in range(4)),
        return_exceptions=True,
    )

    assert fine == [["fine"]] * 4
    assert not isinstance(ended, BaseException) or isinstance(ended, PollError)


async def test_bytes_are_copied_and_filled_exactly(compiled: bytes) -> None:
    """Try the guest's own copy functions: every short length, in both directions, in place and between arrays."""
    code = """
        const wrong = [];
        const numbered = Uint8Array.from({ length: 400 }, (_, i) => i * 7);
        const check = (what, bytes, expected) => {
          if (bytes.some((byte, i) => byte !== expected(i))) wrong.push(what);
        };
        const places = [[100, 100], [101, 100], [100, 101], [107, 100], [100, 116], [117, 100], [10, 220]];
        for (let length = 0; length < 150; length++) {
          for (const [to, from] of places) {
            const within = numbered.slice().copyWithin(to, from, from + length);
            check(["within", length, to, from], within, (i) =>
              numbered[i >= to && i < to + length ? i - to + from : i]);
            const other = new Uint8Array(400);
            other.set(numbered.subarray(from, from + length), to);
            check(["set", length, to, from], other, (i) => (i >= to && i < to + length ? numbered[i - to + from] : 0));
          }
          const filled = numbered.slice().fill(length + 128, 3, 3 + length);
          check(["fill", length], filled, (i) => (i >= 3 && i < 3 + length ? (length + 128) & 255 : numbered[i]));
        }
        return wrong.slice(0, 9);
    """

    async with Sandbox.start(workers=1, limits=Limits(cpu=timedelta(hours=1)), compiled=compiled) as patient:
        assert await returned(patient, code) == []
