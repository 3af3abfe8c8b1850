"""Calls the guest, which is QuickJS-NG as WebAssembly with one import, built from guest/guest.c.

The answers of a guest are checked against the bounds of its memory and trusted no further. Calls use wasmtime's C API
directly. Its Python wrapper looks up the type of a function at every call, which would be most of the cost of a poll.
"""

import ctypes
import struct
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import wasmtime
from wasmtime import FuncType, Trap, ValType, WasmtimeError
from wasmtime import _ffi as ffi

from hairtrigger.sandbox.worker.environment import ENTRIES, HOOKS, Hook, Value
from hairtrigger.sandbox.worker.watchdog import Watchdog, take_away

UNDEFINED, STRING, BYTES = range(3)
VALUE = struct.Struct("<BI")  # the kind and the length of a value, before its bytes
ROOM = 256 * 1024  # spare bytes that an image has for the poll that begins with it
SCRATCH = 64 * 1024  # bytes that a guest's buffer always has
HOST = struct.Struct("<QQ")  # microseconds since 1970; the seed of Math.random
WASM_PAGE = 65_536
STACK_BYTES = 2 * 1024 * 1024  # of the machine's stack, for the calls of one guest
NOTHING = ctypes.CFUNCTYPE(None, ctypes.c_void_p)()  # wasmtime calls it when it drops a value; there is nothing to do


class GuestBroken(Exception):
    """The guest gave an answer that no JavaScript should be able to cause."""


class NoMemory(Exception):
    """The guest could not allocate the memory for a value."""


class Misused(Exception):
    """Code got around the prelude and gave a hook a value that the hook does not take. The guest is not broken."""


class JavaScriptError(Exception):
    """The JavaScript that was called in the guest threw an error."""


class TimeUsedUp(Exception):
    """The guest has used up its CPU time, and may have lost its memory."""


def guest_code() -> bytes:
    file = resources.files("hairtrigger.sandbox") / "guest.wasm"
    if not file.is_file():
        raise GuestBroken("The guest is not built. In a clone of the sources, ./dev does that.")
    return file.read_bytes()


def configuration() -> wasmtime.Config:
    config = wasmtime.Config()
    # Bulk instructions run in wasmtime's own code, and memory that is taken away there would end the process.
    config.wasm_bulk_memory = False
    config.max_wasm_stack = STACK_BYTES
    return config


class Engine:
    """A compiled guest, which makes instances. Callers must enter them from one thread only, one instance at a time."""

    def __init__(self, wasm: wasmtime.Engine, module: wasmtime.Module, watchdog: Watchdog) -> None:
        self.wasm = wasm
        self.module = module
        self.watchdog = watchdog
        self._running: Instance | None = None
        self._callback = ffi.wasmtime_func_unchecked_callback_t(self._called)
        linker = wasmtime.Linker(wasm)
        kind = FuncType([ValType.i32()] * 3, [])
        failed: Any = ffi.wasmtime_linker_define_func_unchecked(
            linker.ptr(), *_name("host"), *_name("call"), kind.ptr(), self._callback, None, NOTHING
        )
        if failed:
            raise WasmtimeError._from_ptr(failed)
        self._prepared = linker.instantiate_pre(module)
        self.host_at = 0
        self.scratch = 0

    def look_at(self, instance: "Instance") -> None:
        """Ask an instance for two addresses that are the same in every instance, and keep them. This must be done
        before any instance is entered.
        """
        self.host_at = instance.call("host_at")
        self.scratch = instance.call("reserve", 0)

    def instance(self, memory_limit: int, hooks: Mapping[str, Hook]) -> "Instance":
        return Instance(self, memory_limit, hooks)

    def made_in(self, store: Any) -> Any:
        """Return a new instance of the guest in the `store` of wasmtime. Raises `WasmtimeError` if that fails."""
        instance = ffi.wasmtime_instance_t()
        trap: Any = ctypes.POINTER(ffi.wasm_trap_t)()
        failed: Any = ffi.wasmtime_instance_pre_instantiate(
            self._prepared.ptr(), store, ctypes.byref(instance), ctypes.byref(trap)
        )
        if failed:
            raise WasmtimeError._from_ptr(failed)
        assert not trap  # none of its code runs yet
        return instance

    def enter(self, instance: "Instance") -> None:
        """Set the instance whose code runs next. All instances share the import, and each of its calls counts as one by
        this instance.
        """
        self._running = instance

    def _called(self, _data: Any, _caller: Any, values: Any, _length: int) -> int:
        """Handle a call of the guest's one import, and return 0 or the address of a trap.

        No error may be raised through the guest, so an error is stored with the instance, and the trap ends the guest.
        """
        instance = self._running
        assert instance
        self.watchdog.outside.acquire()
        try:
            if instance.is_over:
                raise TimeUsedUp
            instance.host_call(values[0].i32, _unsigned(values[1].i32), _unsigned(values[2].i32))
        except BaseException as error:  # noqa: BLE001
            instance.raised = error
            trap = ffi.wasmtime_trap_new(*_name("the hook ended it"))
            return ctypes.cast(trap, ctypes.c_void_p).value or 0
        finally:
            self.watchdog.outside.release()
        return 0


class Instance:
    """A running guest, with a memory and hooks of its own."""

    def __init__(self, engine: Engine, memory_limit: int, hooks: Mapping[str, Hook]) -> None:
        self.raised: BaseException | None = None
        self.is_over = False
        self._engine = engine
        self._outside = engine.watchdog.outside
        self._memory_limit = memory_limit
        self._hooks = hooks
        self._functions: dict[str, Any] = {}
        self._store: Any = ffi.wasmtime_store_new(engine.wasm.ptr(), None, NOTHING)
        ffi.wasmtime_store_limiter(self._store, memory_limit, -1, 1, 1, 1)
        self._context: Any = ffi.wasmtime_store_context(self._store)
        try:
            self._instance = engine.made_in(self._context)
        except WasmtimeError:
            self.close()
            raise
        self._memory = self._export(b"memory").of.memory
        self.base = ctypes.addressof(ffi.wasmtime_memory_data(self._context, ctypes.byref(self._memory)).contents)
        self._size_before = self.size  # a memory never shrinks

    def close(self) -> None:
        """Free the memory of the guest, and drop the hooks, which refer to the poll that refers to this instance."""
        store, self._store = self._store, None
        if store:
            ffi.wasmtime_store_delete(store)
        self._hooks = {}

    def take_memory(self) -> None:
        """Make the guest's memory inaccessible, up to the size to which it may grow.

        If the memory grows at the same moment, the next call takes the new part away.
        """
        take_away(self.base, self._memory_limit)

    @property
    def size(self) -> int:
        return int(ffi.wasmtime_memory_data_size(self._context, ctypes.byref(self._memory)))

    def grow(self, size: int) -> None:
        before = ctypes.c_uint64()
        more = (size - self.size) // WASM_PAGE
        failed: Any = ffi.wasmtime_memory_grow(self._context, ctypes.byref(self._memory), more, ctypes.byref(before))
        if failed:
            raise WasmtimeError._from_ptr(failed)

    def read(self, start: int, length: int) -> bytes:
        self._check(start, length)
        return ctypes.string_at(self.base + start, length)

    def write(self, start: int, data: bytes) -> None:
        self._check(start, len(data))
        ctypes.memmove(self.base + start, data, len(data))

    def _check(self, start: int, length: int) -> None:
        if self.is_over:
            raise TimeUsedUp
        if start + length > self._size_before:
            self._size_before = self.size
            if start + length > self._size_before:
                raise GuestBroken(f"{length} bytes at {start} are outside of its memory")

    def call(self, name: str, *arguments: int) -> int:
        """Call a function of the guest and return its result as an unsigned number. Raises `Trap`, `TimeUsedUp`, or the
        error that a hook raised.
        """
        function = self._functions.get(name)
        if function is None:
            function = self._functions[name] = self._export(name.encode()).of.func
        values = (ffi.wasmtime_val_raw * max(1, len(arguments)))()
        for value, argument in zip(values, arguments, strict=False):
            value.i32 = argument
        trap: Any = ctypes.POINTER(ffi.wasm_trap_t)()
        self._outside.release()
        try:
            failed: Any = ffi.wasmtime_func_call_unchecked(
                self._context, ctypes.byref(function), values, len(values), ctypes.byref(trap)
            )
        finally:
            self._outside.acquire()
        if self.raised or self.is_over:
            if trap:
                ffi.wasm_trap_delete(trap)
            if failed:  # the trap of a hook comes back as such an error
                ffi.wasmtime_error_delete(failed)
            raised, self.raised = self.raised or TimeUsedUp(), None
            try:
                raise raised
            finally:
                del raised  # its traceback holds this frame: both would keep each other and the poll alive
        if trap:
            raise Trap._from_ptr(trap)
        if failed:
            raise WasmtimeError._from_ptr(failed)
        return _unsigned(values[0].i32)

    def enter(self, entry: str, arguments: Sequence[Value], microseconds: int, seed: int) -> None:
        """Call an entry of the prelude, and run all jobs that it leaves to run.

        The guest's clock shows `microseconds` since 1970. A `seed` of 0 leaves the seed as it is. Raises
        `JavaScriptError`, `NoMemory`, or the errors of `call`.
        """
        engine = self._engine
        engine.enter(self)
        self.write(engine.host_at, HOST.pack(microseconds, seed))
        packed = _packed(arguments)
        self.write(engine.scratch if len(packed) <= SCRATCH else self._room(len(packed)), packed)
        if self.call("enter", ENTRIES.index(entry), len(arguments)):
            raise JavaScriptError

    def prepare(self, prelude: str) -> None:
        entries = ", ".join(f"entries.{name}" for name in ENTRIES)
        code = f"(function (...hooks) {{ const entries = {prelude}(...hooks); return [{entries}]; }})".encode()
        self.call("init")
        self.write(self.call("reserve", len(code) + 1), code)
        native = map(HOOKS.index, ("encode", "decode", "parseJson"))
        if self.call("prepare", len(code), len(HOOKS), *native):
            raise GuestBroken(self.read(self._room(0), self.call("exception")).decode())

    def host_call(self, hook: int, at: int, length: int) -> None:
        values = _values(self.read(at, length))
        try:
            answer = self._hooks[HOOKS[hook]](*values)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise Misused from error
        packed = _packed([answer])
        self.write(at if len(packed) <= length else self._room(len(packed)), packed)

    def _room(self, length: int) -> int:
        at = self.call("reserve", length)
        if at == 0:
            raise NoMemory
        return at

    def _export(self, name: bytes) -> Any:
        found = ffi.wasmtime_extern_t()
        instance, to = ctypes.byref(self._instance), ctypes.byref(found)
        if not ffi.wasmtime_instance_export_get(self._context, instance, name, len(name), to):
            raise GuestBroken(f"It has no {name.decode()}")
        return found


def _packed(values: Sequence[Value]) -> bytes:
    parts = []
    for value in values:
        if value is None:
            parts.append(VALUE.pack(UNDEFINED, 0))
        elif isinstance(value, str):
            data = value.encode()
            parts += VALUE.pack(STRING, len(data)), data
        else:
            parts += VALUE.pack(BYTES, len(value)), value
    return b"".join(parts)


def _values(packed: bytes) -> list[Value]:
    values: list[Value] = []
    at = 0
    while at < len(packed):
        kind, length = VALUE.unpack_from(packed, at)
        at += VALUE.size
        data = packed[at : at + length]
        at += length
        values.append(None if kind == UNDEFINED else data if kind == BYTES else data.decode("utf-8", "replace"))
    return values


def _name(name: str) -> tuple[bytes, int]:
    return name.encode(), len(name)


def _unsigned(number: int) -> int:
    return number & 0xFFFF_FFFF
