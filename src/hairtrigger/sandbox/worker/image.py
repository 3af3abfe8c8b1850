"""Makes the image, a module whose memory holds the environment already, so that no poll parses the prelude again.

A guest runs the prelude, and the contents of its memory become the data section of a new module
(https://webassembly.github.io/spec/core/binary/modules.html). Every instance of that module begins with this memory,
which is copied page by page, and only where the instance writes to it.

The image is made twice. The first guest also runs a sample poll, to see which blocks of its memory a poll writes to and
which it may read. The second guest is told to lay those blocks side by side, so that a poll has fewer pages to copy and
to map (guest/malloc.c).
"""

import json
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from mmap import PAGESIZE
from time import process_time

import wasmtime
from wasmtime import Trap

from hairtrigger.sandbox.worker.environment import Hook, Value, native_hooks, prelude
from hairtrigger.sandbox.worker.quickjs import Engine, GuestBroken, Instance, guest_code
from hairtrigger.sandbox.worker.watchdog import Watchdog, take_away

_MEMORY, _DATA, _DATA_COUNT = 5, 11, 12  # sections
_PREAMBLE = 8  # bytes
_WASM_PAGE = 65_536
_PIECE = 4_096
_COLLECTED_AFTER = 16 * 1024 * 1024  # bytes: a collection goes over the whole memory, and so copies it
_SECONDS = 60
_MOST_BYTES = 256 * 1024 * 1024
_TIME = "2026-01-01T00:00:00.000Z"
# The size of a block, and a number whose upper 24 bits say which call of the allocator it was made for.
_BLOCK = struct.Struct("<II")
_PLANNED = 1 << 21  # calls of the allocator that a plan can describe
_WRITTEN, _READ = 1, 2  # the two bits of a plan for each call
_FAULT = re.compile(r"memory fault at wasm address (0x[0-9a-f]+)")

_SAMPLE = """
const response = await fetch(`https://api.example.com/items?since=${lastPollTime}`, {
  headers: { Authorization: `Bearer ${secrets.key}` },
});
if (!response.ok) throw new Error(`API request failed: ${response.status}`);
const { items } = await response.json();
return items.map((item) => ({ id: item.id, timestamp: new Date(item.at).toISOString(), data: item }));
"""


def baked(wasm: wasmtime.Engine, watchdog: Watchdog) -> bytes:
    """Return the image: the code of a WebAssembly module whose memory holds the environment."""
    code = guest_code()
    builder = _ImageBuilder(Engine(wasm, wasmtime.Module(wasm, code), watchdog), prelude())
    return b"".join(_with_memory(code, builder.memory(builder.plan())))


@dataclass(frozen=True)
class _ImageBuilder:
    engine: Engine
    environment: str

    def memory(self, plan: bytes) -> bytes:
        with self._prepared({}, plan) as (instance, _):
            return instance.read(0, instance.size)

    def plan(self) -> bytes:
        """Return the plan, which has two bits for each call of the allocator. They say whether a poll writes to the
        block of that call, and whether it reads it.
        """
        sample = _Sample()
        with self._prepared(sample.hooks(), b"") as (instance, end):
            begin = instance.call("blocks_at")
            before = instance.read(0, instance.size)
            sample.run(instance)
            after = instance.read(0, instance.size)
        touched = self._pages_touched(before, -(-begin // PAGESIZE), end // PAGESIZE)
        plan = bytearray(_PLANNED // 4)
        at = begin
        while at < end:
            size, made_for = _BLOCK.unpack_from(before, at)
            call = made_for >> 8
            if call < _PLANNED:
                pages = range(at // PAGESIZE, (at + size - 1) // PAGESIZE + 1)
                is_written = before[at : at + size] != after[at : at + size]
                use = _WRITTEN if is_written else _READ if touched.intersection(pages) else 0
                plan[call // 4] |= use << call % 4 * 2
            at += size
        return bytes(plan)

    def _pages_touched(self, memory: bytes, first: int, end: int) -> set[int]:
        """Return the numbers of the pages, from `first` on and before `end`, that the sample poll touches.

        All of these pages are taken away from the poll. Each time that it misses a page, it runs again with that page,
        until it misses none.
        """
        touched: set[int] = set()
        while (missed := self._page_missed(memory, first, end, touched)) is not None:
            touched.add(missed)
        return touched

    def _page_missed(self, memory: bytes, first: int, end: int, given: set[int]) -> int | None:
        sample = _Sample()
        instance = self.engine.instance(_MOST_BYTES, sample.hooks())
        self.engine.watchdog.begin(instance, process_time() + _SECONDS)
        instance.grow(len(memory))
        instance.write(0, memory[: first * PAGESIZE])
        instance.write(end * PAGESIZE, memory[end * PAGESIZE :])
        taken = first
        for page in [*sorted(given), end]:
            if page > taken:
                take_away(instance.base + taken * PAGESIZE, (page - taken) * PAGESIZE)
            instance.write(page * PAGESIZE, memory[page * PAGESIZE : (page + 1) * PAGESIZE])
            taken = page + 1
        try:
            sample.run(instance)
        except Trap as trap:
            fault = _FAULT.search(str(trap))
            missed = int(fault[1], 16) // PAGESIZE if fault else None
            if missed is None or missed in given or not first <= missed < end:
                raise
            return missed
        finally:
            self.engine.watchdog.end()
            instance.close()
        return None

    @contextmanager
    def _prepared(self, hooks: Mapping[str, Hook], plan: bytes) -> Iterator[tuple[Instance, int]]:
        """Yield a guest that has run the prelude, and the address where its blocks end."""
        instance = self.engine.instance(_MOST_BYTES, hooks)
        self.engine.watchdog.begin(instance, process_time() + _SECONDS)
        try:
            self.engine.enter(instance)
            self.engine.look_at(instance)
            instance.write(instance.call("plan_at"), plan)
            instance.prepare(self.environment)
            yield instance, instance.call("seal", _COLLECTED_AFTER)
        finally:
            self.engine.watchdog.end()
            instance.close()


class _Sample:
    """A poll as most users have it: it fetches JSON once and returns some events."""

    def __init__(self) -> None:
        self._fetch = ""
        self._ended = False

    def hooks(self) -> dict[str, Hook]:
        return native_hooks() | {
            "done": lambda *_: self._end(),
            "fail": self._fail,
            "fetchFromHost": lambda fetch, *_: self._begin(fetch),
            "random": lambda length: bytes(int(length)),
            "wake": lambda *_: None,
        }

    def run(self, instance: Instance) -> None:
        limits = {"lines": 10, "line": 1000, "results": 100, "bytes": 1 << 20}
        job = {"code": _SAMPLE, "inputs": {}, "secrets": {"key": "k"}, "lastPollTime": _TIME, "limits": limits}
        head = {"status": 200, "statusText": "OK", "url": "https://api.example.com/items", "redirected": False}
        items = [{"id": f"item-{number}", "title": "An item", "at": _TIME} for number in range(20)]
        with suppress(_Ended):
            instance.enter("start", [json.dumps(job)], 0, 1)
            answer = json.dumps(head | {"headers": [["content-type", "application/json"]]})
            instance.enter("respond", [self._fetch, answer, json.dumps({"items": items}).encode()], 0, 0)
        assert self._ended

    def _begin(self, fetch: str) -> None:
        self._fetch = fetch

    def _end(self) -> None:
        self._ended = True
        raise _Ended

    def _fail(self, *said: Value) -> None:
        raise GuestBroken(f"The sample poll failed: {said}")


class _Ended(Exception):
    """The sample poll has reported its end."""


def _with_memory(code: bytes, memory: bytes) -> Iterator[bytes]:
    pieces = list(_filled(memory))
    yield code[:_PREAMBLE]
    at = _PREAMBLE
    while at < len(code):
        section = code[at]
        length, start = _number(code, at + 1)
        content = code[start : start + length]
        at = start + length
        if section == _MEMORY:
            content = b"\x01\x00" + _leb(len(memory) // _WASM_PAGE)  # one memory, no maximum, the number of pages
        elif section == _DATA_COUNT:
            content = _leb(len(pieces))
        elif section == _DATA:
            content = _leb(len(pieces)) + b"".join(_segment(*piece) for piece in pieces)
        yield bytes([section]) + _leb(len(content)) + content


def _segment(start: int, piece: bytes) -> bytes:
    """Return an active data segment for memory 0, with the offset `i32.const start`."""
    return b"\x00\x41" + _signed_leb(start) + b"\x0b" + _leb(len(piece)) + piece


def _filled(memory: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each run of pieces of memory that are not all zeros, as its address and its bytes."""
    begun: int | None = None
    for start in range(0, len(memory) + _PIECE, _PIECE):
        filled = any(memory[start : start + _PIECE])
        if filled and begun is None:
            begun = start
        elif not filled and begun is not None:
            yield begun, memory[begun:start]
            begun = None


def _number(code: bytes, at: int) -> tuple[int, int]:
    """Return the unsigned LEB128 number at this place, and the place after it."""
    number = shift = 0
    while True:
        byte = code[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, at


def _leb(number: int) -> bytes:
    encoded = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        if not number:
            return bytes([*encoded, low])
        encoded.append(low | 0x80)


def _signed_leb(number: int) -> bytes:
    """Return a number that is not negative as signed LEB128, where the highest bit of the last byte must not look like
    a sign.
    """
    encoded = _leb(number)
    return encoded if encoded[-1] < 0x40 else encoded[:-1] + bytes([encoded[-1] | 0x80, 0])
