"""Measure what each part of the sandbox's own buys: `python -m bench.sandbox.parts`.

Each part is exchanged for an ordinary one: the engine's own, a C library's, or an npm package that is built into the
image. All variants stand beside each other in one process, and take turns poll by poll. Cost is CPU time of the
process, which runs the guest as a sandbox worker does, without the socket and the walls.
"""

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import wasmtime

from bench.sandbox.cases import ANSWER_HEADERS, INPUTS, LAST_POLL_TIME, REQUEST, SECRETS, Case, cases
from bench.table import table
from hairtrigger.sandbox.protocol.frames import Frame, Kind
from hairtrigger.sandbox.protocol.poll import DEFAULT_LIMITS
from hairtrigger.sandbox.worker import environment
from hairtrigger.sandbox.worker.guest import Machine
from hairtrigger.sandbox.worker.image import _ImageBuilder, _with_memory
from hairtrigger.sandbox.worker.main import Poll
from hairtrigger.sandbox.worker.quickjs import Engine, configuration
from hairtrigger.sandbox.worker.watchdog import Watchdog
from tests.support import node, python_packages

GUEST = Path(__file__).parents[2] / "guest"
BUILD = ("pip==26.3", "setuptools==84.2.1", "ziglang==0.14.1")
NPM = ("web-streams-polyfill@4.3.0", "whatwg-url@17.3.0", "buffer@6.0.3", "esbuild@0.28.2")
SECONDS = 0.15  # of CPU time for a batch

_LIMITS = {"lines": 101, "line": 2048, "results": 1000, "bytes": 1 << 20, "request": 1 << 20}
_HEAD = {"status": 200, "statusText": "OK", "url": REQUEST["url"], "redirected": False, "headers": ANSWER_HEADERS}

# What our files ask of streams.js beyond the standard's classes.
_STREAMS = """
const {
  ReadableStream, ReadableStreamDefaultReader, ReadableStreamBYOBReader, ReadableStreamDefaultController,
  ReadableByteStreamController, ReadableStreamBYOBRequest, WritableStream, WritableStreamDefaultWriter,
  WritableStreamDefaultController, TransformStream, TransformStreamDefaultController, ByteLengthQueuingStrategy,
  CountQueuingStrategy,
} = BUNDLE;
const isReadableStream = (value) => value instanceof ReadableStream;
const isDisturbed = (face) => face._disturbed;
const isLocked = (face) => face.locked;
const teedStream = (face) => face.tee();
const byteStream = (take) => new ReadableStream({ type: "bytes", pull(controller) {
  const bytes = take();
  if (bytes.length > 0) controller.enqueue(bytes);
  controller.close();
  controller.byobRequest?.respond(0);
} }, { highWaterMark: 0 });
const transforming = (transform, flush, cancel = () => {}) => new TransformStream({
  transform: (chunk, controller) => transform(chunk, (one) => controller.enqueue(one)),
  flush: (controller) => flush((one) => controller.enqueue(one)),
  cancel,
});
async function bytesOfStream(face, most = Infinity) {
  const reader = face.getReader(), chunks = [];
  let total = 0;
  for (let step; !(step = await reader.read()).done; ) {
    total += step.value.length;
    if (total > most) throw new TypeError("A body is too large");
    chunks.push(step.value);
  }
  const bytes = new Uint8Array(total);
  let at = 0;
  for (const chunk of chunks) { bytes.set(chunk, at); at += chunk.length; }
  return { __proto__: null, bytes };
}
"""
PACKAGES = {
    "streams": ("web-streams-polyfill", _STREAMS),
    "url": ("whatwg-url", "const { URL, URLSearchParams } = BUNDLE;\n"),
    "buffer": ("buffer", "const { Buffer } = BUNDLE;\n"),
}
_URL = """
const url = new URL(`https://api.example.com/projects/${inputs.projectId}/issues`);
url.searchParams.set("since", lastPollTime);
url.search = "?since=" + lastPollTime;
url.pathname = "/issues";
const response = await fetch(url, { headers: { Authorization: `Bearer ${secrets.API_TOKEN}` } });
return (await response.json()).map(({ id }) => ({ id }));
"""
_STREAM = """
const response = await fetch(`https://api.example.com/issues?since=${lastPollTime}`);
let size = 0;
for await (const chunk of response.body) size += chunk.length;
return [{ id: size }];
"""
_BUFFER = """
const text = Buffer.from(JSON.stringify({ iss: inputs.projectId })).toString("base64");
return [{ id: Buffer.from(text, "base64").toString() }];
"""


@dataclass(frozen=True)
class Variant:
    name: str
    machine: Machine


def all_cases() -> list[Case]:
    _, example, _ = every = cases()
    issues = json.loads(example.body)
    return [
        *every,
        Case("a URL that is changed", _URL, example.body, [{"id": issue["id"]} for issue in issues]),
        Case("a body read as a stream", _STREAM, example.body, [{"id": len(example.body)}]),
        Case(
            "Base64 by Buffer", _BUFFER, b"", [{"id": json.dumps({"iss": INPUTS["projectId"]}, separators=(",", ":"))}]
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.sandbox.parts", description=__doc__)
    parser.add_argument("--guests", metavar="FOLDER", type=Path, help="keep the guests there, and take those of before")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        variants = list(_variants(arguments.guests or Path(temporary)))
    print(text(measured(variants, all_cases(), arguments.rounds)))


def _variants(folder: Path) -> Iterator[Variant]:
    folder.mkdir(exist_ok=True)
    if not (folder / "allocator.wasm").exists():
        subprocess.run(
            [python_packages.installed(*BUILD), Path(__file__).with_name("exchange.py"), GUEST, folder], check=True
        )
    guests = {file.stem: file.read_bytes() for file in folder.glob("*.wasm")}
    own = environment.prelude()
    yield Variant("ours", _machine(guests["ours"], own))
    yield Variant("without the layout of the image", _machine(guests["ours"], own, planned=False))
    yield Variant("and with counted references", _machine(guests["counts"], own, planned=False))
    yield Variant("and with emmalloc", _machine(guests["allocator"], own, planned=False))
    yield Variant("the engine's reader of JSON", _machine(guests["reader"], own))
    for part, (package, code) in PACKAGES.items():
        yield Variant(f"{package} for {part}.js", _machine(guests["ours"], _with_package(part, package, code)))


def _with_package(part: str, package: str, code: str) -> str:
    own = (GUEST.parent / f"src/hairtrigger/sandbox/prelude/{part}.js").read_text("utf-8")
    whole = environment.prelude()
    assert whole.count(own) == 1
    return whole.replace(own, code.replace("BUNDLE", _bundle(package)))


def _bundle(package: str) -> str:
    """Return an expression for the exports of an npm package, with all that it needs."""
    folder = node.installed(*NPM)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        start, end = Path(name, "start.js"), Path(name, "end.js")
        start.write_text(f'module.exports = require("../node_modules/{package}");')
        options = ("--bundle", "--format=cjs", "--platform=browser", "--target=es2023", "--log-level=error")
        command: list[str | Path] = [
            node.NODE,
            folder / "node_modules/esbuild/bin/esbuild",
            start,
            *options,
            f"--outfile={end}",
        ]
        subprocess.run(command, check=True)
        return f"(() => {{ const module = {{ exports: {{}} }};\n{end.read_text()}\nreturn module.exports; }})()"


def _machine(code: bytes, prelude: str, *, planned: bool = True) -> Machine:
    wasm = wasmtime.Engine(configuration())
    builder = _ImageBuilder(Engine(wasm, wasmtime.Module(wasm, code), Watchdog()), prelude)
    memory = builder.memory(builder.plan() if planned else b"")
    module = wasmtime.Module(wasm, b"".join(_with_memory(code, memory)))
    return Machine(bytes(module.serialize()), DEFAULT_LIMITS.memory_bytes)


def measured(variants: Sequence[Variant], cases: Sequence[Case], rounds: int) -> Mapping[tuple[str, str], list[float]]:
    """Return the milliseconds of a poll in each round, by the names of the variant and the case."""
    polls = {case.name: _polls(variants[0], case) for case in cases}
    found: dict[tuple[str, str], list[float]] = {
        (variant.name, case.name): [] for variant in variants for case in cases
    }
    for turn in range(rounds + 1):
        for case in cases:
            for variant in (*variants[turn % len(variants) :], *variants[: turn % len(variants)]):
                milliseconds = _batch(variant, case, polls[case.name])
                if turn:  # the first is to get warm
                    found[variant.name, case.name].append(milliseconds)
    return found


def _polls(variant: Variant, case: Case) -> int:
    return max(2, round(1000 * SECONDS / min(_batch(variant, case, 3) for _ in range(3))))


def _batch(variant: Variant, case: Case, polls: int) -> float:
    started = time.process_time()
    ends = [_run(variant.machine, case) for _ in range(polls)]
    spent = 1000 * (time.process_time() - started) / polls
    for end in ends:
        if end.kind is not Kind.DONE or json.loads(end.body) != case.events:
            raise ValueError(f"{variant.name}, {case.name}: {end}"[:2000])
    return spent


def _run(machine: Machine, case: Case) -> Frame:
    frames: list[Frame] = []
    job = {"code": case.code, "inputs": INPUTS, "secrets": SECRETS, "lastPollTime": LAST_POLL_TIME, "limits": _LIMITS}
    poll = Poll(1, machine, DEFAULT_LIMITS, frames.append)
    poll.enter("start", json.dumps(job))
    if frames and frames[-1].kind is Kind.FETCH:
        poll.respond(frames[-1].head["fetch"], json.dumps(_HEAD), case.body)
    return frames[-1]


def text(found: Mapping[tuple[str, str], list[float]]) -> str:
    """Return a table: milliseconds of ours, and for the others how many times as long, by the median of the rounds."""
    variants, names = (list(dict.fromkeys(key[place] for key in found)) for place in (0, 1))
    ours = variants[0]
    rows: list[list[object]] = [["ours, ms", *(median(found[ours, case]) for case in names)]]
    for variant in variants[1:]:
        pairs = (zip(found[variant, case], found[ours, case], strict=True) for case in names)
        ratios = [sorted(other / own for other, own in each) for each in pairs]
        rows.append([variant, *(f"{median(every):.2f} ({_quartiles(every)})" for every in ratios)])
    return table(("times as long as ours (quartiles)", *names), rows)


def _quartiles(ordered: Sequence[float]) -> str:
    quarter = len(ordered) // 4
    return f"{ordered[quarter]:.2f}-{ordered[-1 - quarter]:.2f}"


if __name__ == "__main__":
    main()
