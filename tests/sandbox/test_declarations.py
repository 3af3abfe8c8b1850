"""The TypeScript declarations for editors match the real environment: they accept the code that runs."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from hairtrigger.api.v1.polling_code import declarations
from hairtrigger.sandbox.service.sandbox import Sandbox
from tests.sandbox.programs import returned
from tests.support.contract_page import POLLING_CODE
from tests.support.node import installed, run

pytestmark = pytest.mark.anyio

# https://tc39.es/ecma262/#sec-global-object, with Annex B, coming additions, and those of this engine.
JAVASCRIPT = """
    globalThis Infinity NaN undefined eval isFinite isNaN parseFloat parseInt decodeURI
    decodeURIComponent encodeURI encodeURIComponent escape unescape AggregateError Array ArrayBuffer
    AsyncDisposableStack Atomics BigInt BigInt64Array BigUint64Array Boolean DataView Date DisposableStack
    Error EvalError FinalizationRegistry Float16Array Float32Array Float64Array Function Int8Array
    Int16Array Int32Array Iterator JSON Map Math Number Object Promise Proxy RangeError ReferenceError
    Reflect RegExp Set SharedArrayBuffer String SuppressedError Symbol SyntaxError TypeError Uint8Array
    Uint8ClampedArray Uint16Array Uint32Array URIError WeakMap WeakRef WeakSet InternalError Intl
"""
PROGRAM = """
import ts from "typescript";
import { readFileSync } from "node:fs";
const { declarations, codes } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const options = { strict: true, noEmit: true, target: ts.ScriptTarget.ESNext, lib: ["lib.esnext.d.ts"], types: [] };
const files = new Map([["environment.d.ts", declarations]]);
codes.forEach((code, i) => files.set(`poll${i}.ts`,
  `export async function poll(): Promise<unknown[]> {\\n${code}\\n}`));
const host = ts.createCompilerHost(options);
const { getSourceFile, fileExists, readFile } = host;
host.getSourceFile = (name, ...rest) => files.has(name)
  ? ts.createSourceFile(name, files.get(name), options.target) : getSourceFile.call(host, name, ...rest);
host.fileExists = (name) => files.has(name) || fileExists.call(host, name);
host.readFile = (name) => files.get(name) ?? readFile.call(host, name);
const program = ts.createProgram([...files.keys()], options, host);
const checker = program.getTypeChecker();
const complaints = (name) => ts.getPreEmitDiagnostics(program, program.getSourceFile(name))
  .map((one) => ts.flattenDiagnosticMessageText(one.messageText, " "));
const source = program.getSourceFile("environment.d.ts");
const globals = {};
for (const symbol of checker.getSymbolsInScope(source, ts.SymbolFlags.Value)) {
  if (!symbol.declarations?.some((one) => one.getSourceFile() === source)) continue;
  const ofClass = symbol.flags & ts.SymbolFlags.Class;
  const type = ofClass ? checker.getDeclaredTypeOfSymbol(symbol) : checker.getTypeOfSymbol(symbol);
  const members = checker.getPropertiesOfType(type)
    .filter((one) => one.declarations?.some((two) => two.getSourceFile() === source))
    .map((one) => one.name).filter((name) => !name.startsWith("__@"));
  globals[symbol.name] = ofClass || ["ld", "console", "data"].includes(symbol.name) ? members : [];
}
console.log(JSON.stringify({
  declarations: complaints("environment.d.ts"), globals, codes: codes.map((_, i) => complaints(`poll${i}.ts`)),
}));
"""

FINE = {
    "the published example": POLLING_CODE,
    "the builder's dialect": """
        const answer = await ld.request({ method: "GET", url: "https://api.example.com/" + data.input.project,
            headers: { Authorization: `Bearer ${data.auth.token}` }, params: { since: lastPollTime } });
        ld.log(answer.status);
        return answer.json.items""",
    "another published example": """
        const url = new URL(`https://api.example.com/projects/${inputs.projectId}/issues`);
        url.searchParams.set("since", lastPollTime);
        const response = await fetch(url, { headers: { Authorization: `Bearer ${secrets.API_TOKEN}` } });
        if (!response.ok) throw new Error(`HTTP ${response.status}`);
        return await response.json();""",
    "bytes and their encodings": """
        const claims = JSON.parse(Buffer.from(secrets.token.split(".")[1]!, "base64url").toString());
        const all = Buffer.concat([Buffer.from("a"), new Uint8Array(2)]).subarray(1);
        return [{ id: claims.sub, at: all.readUInt16BE(0), text: all.slice(1).toString("hex") }];""",
    "days of a time zone": """
        const zone = { timeZone: "Europe/Berlin" };
        const day = new Intl.DateTimeFormat("sv-SE", zone).format(new Date(lastPollTime));
        const order = new Intl.Collator("en", { numeric: true }).compare;
        return [new Date().toLocaleDateString("en-CA", zone), day].sort(order);""",
    "a token signed by a private key": """
        const as = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" } as const;
        const key = await crypto.subtle.importKey("pkcs8", Buffer.from(secrets.key, "base64"), as, false, ["sign"]);
        const curve = await crypto.subtle.importKey("jwk", JSON.parse(secrets.jwk),
            { name: "ECDSA", namedCurve: "P-256" }, true, ["verify"]);
        const signature = await crypto.subtle.sign(as, key, Buffer.from("x"));
        const hash = { name: "ECDSA", hash: "SHA-256" } as const;
        return [await crypto.subtle.verify(hash, curve, signature, new Uint8Array(1)), curve.algorithm.namedCurve]""",
    "all sorts of things": """
        const signal = AbortSignal.any([AbortSignal.timeout(1000), new AbortController().signal]);
        const key = await crypto.subtle.importKey("raw", new TextEncoder().encode(secrets.key),
            { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
        const mac = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode("x"));
        const form = new FormData(); form.append("file", new Blob(["x"]), "a.txt"); form.set("n", 1);
        const answer = await fetch("https://a.example/", { method: "POST", body: form, signal });
        for (const [name, value] of answer.headers) console.log(name.length, value);
        const items = await answer.clone().json<{ id: string }[]>();
        if (answer.body) for await (const chunk of answer.body) console.log(chunk.byteLength);
        const timer = setInterval((n: number) => console.log(n), 10, 1); clearInterval(timer);
        const later = new Date(lastPollTime).getTime() + performance.now();
        return items.map(({ id }) => ({ id, later, mac: btoa(String.fromCharCode(...new Uint8Array(mac))) }));""",
}
WRONG = {
    "document": "return [document.title]",
    "window": "return [window]",
    "process": "return [process.env]",
    "require": "return require('fs')",
    "a format that no key of a curve has": """await crypto.subtle.importKey("raw", new Uint8Array(1),
        { name: "ECDSA", namedCurve: "P-256" }, false, []); return []""",
    "ECDSA without a hash": "await crypto.subtle.sign('ECDSA', {} as CryptoKey, new Uint8Array(1)); return []",
    "a wrong encoding": "return [Buffer.from('x', 'base65')]",
    "localStorage": "return [localStorage]",
    "what is no array": "return { id: 1 }",
    "a number as a time": "return [lastPollTime.getTime()]",
    "a wrong redirect": "await fetch('https://a.example/', { redirect: 'never' }); return []",
}


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the complaints of the real compiler."""
    asked = tmp_path_factory.mktemp("types") / "asked.json"
    asked.write_text(json.dumps({"declarations": declarations(), "codes": [*FINE.values(), *WRONG.values()]}))
    return run(installed("typescript@5.9.3"), PROGRAM, str(asked))


def _said(checked: Any, names: Sequence[str], name: str) -> list[str]:
    complaints: list[str] = dict(zip([*FINE, *WRONG], checked["codes"], strict=True))[name]
    assert name in names
    return complaints


def test_the_declarations_are_right_in_themselves(checked: Any) -> None:
    assert checked["declarations"] == []


@pytest.mark.parametrize("name", FINE)
def test_what_runs_type_checks_strictly(checked: Any, name: str) -> None:
    assert _said(checked, [*FINE], name) == []


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_there_does_not_type_check(checked: Any, name: str) -> None:
    assert _said(checked, [*WRONG], name)


async def test_the_globals_that_are_declared_are_those_there_are(sandbox: Sandbox, checked: Any) -> None:
    real = set(await returned(sandbox, "return Object.getOwnPropertyNames(globalThis)"))

    assert set(checked["globals"]) == real - set(JAVASCRIPT.split())


async def test_every_member_that_is_declared_is_there(sandbox: Sandbox, checked: Any) -> None:
    code = """
        return inputs.globals.flatMap(([name, members]) => {
            const value = globalThis[name], place = typeof value === "function" ? value.prototype : value;
            return members.filter((member) => member !== "prototype" && !(member in place)).map((m) => name + "." + m)
        })"""
    globals_ = [[name, members] for name, members in checked["globals"].items() if members]

    assert await returned(sandbox, code, inputs={"globals": globals_}) == []
