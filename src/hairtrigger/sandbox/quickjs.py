"""The guest's own interface: QuickJS-NG as WebAssembly, the file `_guest.wasm` of quickjs-rs (its Python is not used).

No WASI is linked: a guest reaches its hooks, two clocks and random bytes, nothing else. What it answers is checked
against the bounds of its memory and believed no further.
"""

import hashlib
import os
import struct
import time
from collections.abc import Callable, Mapping
from importlib import util
from pathlib import Path

import wasmtime
from wasmtime import FuncType, ValType

from hairtrigger.sandbox.environment import Hook, Value

GUEST_SHA256 = "647ab11ae29cc6d39a6d17d3aa1e7a6a0b5fb9c44b4864475a18bc644f926050"
ARGUMENTS = 15
SCRATCH = struct.Struct(f"<i{ARGUMENTS}i")  # a result, then arguments
JOBS_PER_ROUND = 100_000  # what `execute_pending_jobs` runs at most before it returns
OK, JS_ERROR = 0, 1
BAD_FILE = 8  # WASI's EBADF
MONOTONIC = 1
MILLISECOND = 1_000_000


class GuestBroken(Exception):
    """The guest answered what no JavaScript should be able to make it answer."""


class NoMemory(Exception):
    """The guest could not allocate what a value needs."""


class JavaScriptError(Exception):
    """What was called in the guest threw."""


class Engine:
    """The compiled guest. `compiled` is machine code or nothing: take it from `serialized()` alone."""

    def __init__(self, compiled: bytes) -> None:
        config = wasmtime.Config()
        config.epoch_interruption = True
        self.wasm = wasmtime.Engine(config)
        self._module = (
            wasmtime.Module.deserialize(self.wasm, compiled) if compiled else wasmtime.Module(self.wasm, _guest_code())
        )
        self._prepared = self._linker().instantiate_pre(self._module)
        self._running: Instance | None = None  # one thread enters guests, one guest at a time

    def serialized(self) -> bytes:
        return bytes(self._module.serialize())

    def instance(self, memory_limit: int, hooks: Mapping[str, Hook]) -> "Instance":
        store = wasmtime.Store(self.wasm)
        store.set_limits(memory_size=memory_limit, instances=1, tables=1, memories=1)
        return Instance(store, self._prepared.instantiate(store), hooks)

    def enter(self, instance: "Instance") -> None:
        """The instance whose code runs next: the imports are shared by all of them."""
        self._running = instance

    def _current(self) -> "Instance":
        assert self._running is not None
        return self._running

    def _linker(self) -> wasmtime.Linker:
        linker = wasmtime.Linker(self.wasm)
        i32, i64 = ValType.i32(), ValType.i64()

        def define(module: str, name: str, parameters: list[ValType], function: Callable[..., int]) -> None:
            linker.define_func(module, name, FuncType(parameters, [i32]), function)

        define("env", "host_call", [i32] * 5, lambda *call: self._current().host_call(*call))
        define("env", "host_interrupt", [], lambda: 0)
        define("env", "host_module_normalize", [i32] * 5, lambda *_: 0)
        define("env", "host_module_load", [i32] * 3, lambda *_: 0)
        wasi = "wasi_snapshot_preview1"
        define(wasi, "clock_time_get", [i32, i64, i32], lambda clock, _, at: self._current().put(at, _time(clock)))
        define(wasi, "random_get", [i32, i32], lambda at, length: self._current().put(at, os.urandom(length)))
        define(wasi, "environ_sizes_get", [i32, i32], lambda *_: BAD_FILE)
        define(wasi, "environ_get", [i32, i32], lambda *_: BAD_FILE)
        define(wasi, "fd_close", [i32], lambda *_: BAD_FILE)
        define(wasi, "fd_fdstat_get", [i32, i32], lambda *_: BAD_FILE)
        define(wasi, "fd_seek", [i32, i64, i32, i32], lambda *_: BAD_FILE)
        define(wasi, "fd_write", [i32] * 4, lambda *_: BAD_FILE)
        linker.define_func(wasi, "proc_exit", FuncType([i32], []), _exit)
        return linker


class Instance:
    """A guest with a memory of its own. JavaScript values are handles into it, numbers that the guest gives out."""

    def __init__(self, store: wasmtime.Store, instance: wasmtime.Instance, hooks: Mapping[str, Hook]) -> None:
        self.store = store
        self._exports = instance.exports(store)
        self._hooks = hooks
        memory, stack_pointer = self._exports["memory"], self._exports["__stack_pointer"]
        assert isinstance(memory, wasmtime.Memory)
        assert isinstance(stack_pointer, wasmtime.Global)
        self.memory = memory
        self.stack_pointer = stack_pointer
        self.scratch = 0  # where results and arguments are passed
        self.undefined = 0

    def prepare(self) -> None:
        self.scratch = self.export("qjs_alloc", SCRATCH.size)
        self.undefined = self.export("new_undefined")

    def close(self) -> None:
        self.store.close()

    @property
    def size(self) -> int:
        return int(self.memory.data_len(self.store))

    def read(self, start: int, length: int) -> bytes:
        start, length = _unsigned(start), _unsigned(length)
        if start + length > self.size:
            raise GuestBroken(f"{length} bytes at {start} are outside of its memory")
        return bytes(self.memory.read(self.store, start, start + length))

    def put(self, start: int, data: bytes) -> int:
        start = _unsigned(start)
        if start + len(data) > self.size:
            raise GuestBroken(f"{len(data)} bytes at {start} are outside of its memory")
        self.memory.write(self.store, data, start)
        return OK

    def export(self, name: str, *arguments: int) -> int:
        function = self._exports[name]
        assert isinstance(function, wasmtime.Func)
        return int(function(self.store, *arguments) or 0)

    # Values.

    def handle(self, value: Value) -> int:
        """A new handle, for its taker to free. Nothing becomes undefined: the guest knows no empty strings."""
        if not value:
            return self.export("new_undefined")
        data = value.encode() if isinstance(value, str) else value
        at = self._filled(data)
        if isinstance(value, str):
            handle = self.export("new_string", at, len(data))
        else:
            handle = self._result(self.export("new_uint8array", at, len(data), self.scratch))
        self.export("qjs_free", at, len(data))
        if handle == 0:
            raise NoMemory
        return handle

    def value(self, handle: int) -> Value:
        """The string or the Uint8Array; anything else is None."""
        if self.export("get_string", handle) == OK:
            return self._last().decode()
        if self.export("get_typed_array_buffer", handle, 0, 0, 0) == OK:
            return self._last()
        return None

    def function(self, hook: str) -> int:
        data = hook.encode()
        return self.export("new_function", self._filled(data), len(data))

    def evaluated(self, code: str) -> int:
        data = code.encode()
        return self._result(self.export("eval_code", self._filled(data), len(data), self.scratch))

    def member(self, handle: int, name: str) -> int:
        data = name.encode()
        return self._result(self.export("get_prop", handle, self._filled(data), len(data), self.scratch))

    def call(self, function: int, *arguments: int) -> int:
        self.put(self.scratch, SCRATCH.pack(0, *arguments, *[0] * (ARGUMENTS - len(arguments))))
        status = self.export("call_function", function, self.undefined, self.scratch + 4, len(arguments), self.scratch)
        return self._result(status)

    def free(self, *handles: int) -> None:
        for handle in handles:
            self.export("free_value", handle)

    def run_jobs(self) -> None:
        while self.export("execute_pending_jobs") >= JOBS_PER_ROUND:
            pass

    def host_call(self, name_at: int, name_length: int, _this: int, count: int, handles_at: int) -> int:
        hook = self._hooks[self.read(name_at, name_length).decode()]
        handles = struct.unpack(f"<{count}i", self.read(handles_at, 4 * count))
        return self.handle(hook(*(self.value(handle) for handle in handles)))

    def _filled(self, data: bytes) -> int:
        at = self.export("qjs_alloc", len(data))
        if at == 0:
            raise NoMemory
        self.put(at, data)
        return at

    def _last(self) -> bytes:
        return self.read(self.export("qjs_last_ptr"), self.export("qjs_last_len"))

    def _result(self, status: int) -> int:
        if status == JS_ERROR:
            raise JavaScriptError
        if status != OK:
            raise GuestBroken(f"status {status}")
        (handle,) = struct.unpack("<i", self.read(self.scratch, 4))
        return int(handle)


def _unsigned(number: int) -> int:
    return number & 0xFFFF_FFFF


def _time(clock: int) -> bytes:
    """In nanoseconds, but no finer than a millisecond: a fine clock helps nobody but a spy."""
    now = time.monotonic_ns() if clock == MONOTONIC else time.time_ns()
    return struct.pack("<Q", now - now % MILLISECOND)


def _exit(status: int) -> None:
    raise GuestBroken(f"exit {status}")


def _guest_code() -> bytes:
    package = util.find_spec("quickjs_rs")
    assert package is not None
    assert package.origin is not None
    code = Path(package.origin).with_name("_guest.wasm").read_bytes()
    if hashlib.sha256(code).hexdigest() != GUEST_SHA256:
        raise GuestBroken("quickjs-rs brings another guest than the one this sandbox was tested with")
    return code
