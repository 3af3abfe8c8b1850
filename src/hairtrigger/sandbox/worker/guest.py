"""Runs guests. Each poll has a new guest, with the environment in it, a CPU budget and a memory limit."""

from collections.abc import Mapping
from time import process_time

import wasmtime
from wasmtime import Trap, TrapCode, WasmtimeError

from hairtrigger.sandbox.protocol.poll import PollErrorKind
from hairtrigger.sandbox.worker.environment import Hook, Value
from hairtrigger.sandbox.worker.image import baked
from hairtrigger.sandbox.worker.quickjs import (
    ROOM,
    Engine,
    GuestBroken,
    JavaScriptError,
    Misused,
    NoMemory,
    TimeUsedUp,
    configuration,
)
from hairtrigger.sandbox.worker.watchdog import Watchdog

_NEARLY = 0.9
_LOOK_SECONDS = 10


class Stopped(Exception):
    """The poll reached a limit or broke its guest, so that the guest can't go on."""

    def __init__(self, kind: PollErrorKind, name: str = "", message: str = "") -> None:
        super().__init__(kind)
        self.kind = kind
        self.name = name
        self.message = message


class Machine:
    """The parts that all guests of a process share."""

    def __init__(self, compiled: bytes, memory_bytes: int) -> None:
        """Load the guest from `compiled`, which `serialized` of another `Machine` returned.

        If `compiled` is anything else, compile the guest, which takes seconds. `memory_bytes` is how much memory a poll
        may take.
        """
        wasm = wasmtime.Engine(configuration())
        self.watchdog = Watchdog()
        try:
            module = wasmtime.Module.deserialize(wasm, compiled)
        except WasmtimeError:  # it is empty, or of another kind of machine
            module = wasmtime.Module(wasm, baked(wasm, self.watchdog))
        self.engine = Engine(wasm, module, self.watchdog)
        self.image_bytes = self._look()
        self.memory_limit = self.image_bytes + memory_bytes

    def serialized(self) -> bytes:
        return bytes(self.engine.module.serialize())

    def _look(self) -> int:
        instance = self.engine.instance(1 << 31, {})
        self.watchdog.begin(instance, process_time() + _LOOK_SECONDS)
        self.engine.look_at(instance)
        self.watchdog.end()
        size = instance.size
        instance.close()
        return size


class Guest:
    """A guest that runs one poll. `enter` returns when the guest waits for the host, and raises `Stopped` if it can't
    go on.

    `clock` is the guest's time in milliseconds since 1970. It must be set before `enter`, and stands still while code
    runs. `cpu` is the budget of all slices together in seconds. `seed` determines all numbers of Math.random.
    """

    def __init__(self, machine: Machine, hooks: Mapping[str, Hook], cpu: float, seed: int) -> None:
        self._machine = machine
        self._budget = cpu
        self._seed = seed
        self.cpu = 0.0  # seconds used
        self.clock = 0
        self._instance = machine.engine.instance(machine.memory_limit, hooks)

    @property
    def memory(self) -> int:
        """Return the most bytes of memory that the poll has had at any time so far. The image does not count."""
        return self._instance.size - self._machine.image_bytes + ROOM

    @property
    def is_full(self) -> bool:
        return self._instance.size > _NEARLY * self._machine.memory_limit

    def close(self) -> None:
        self._instance.close()

    def enter(self, entry: str, *arguments: Value) -> None:
        started = process_time()
        self._machine.watchdog.begin(self._instance, started + self._budget - self.cpu)
        try:
            self._instance.enter(entry, arguments, 1000 * self.clock, self._seed)
            self._seed = 0  # 0 leaves the seed as it is
        except TimeUsedUp:
            raise Stopped(PollErrorKind.CPU_LIMIT) from None
        except Trap as trap:
            raise self._stopped(trap) from None
        except NoMemory:
            raise Stopped(PollErrorKind.MEMORY_LIMIT) from None
        except (JavaScriptError, Misused):
            if self.is_full:
                raise Stopped(PollErrorKind.MEMORY_LIMIT) from None
            raise Stopped(PollErrorKind.JS_ERROR, "Error", "The code broke what the sandbox needs.") from None
        except GuestBroken as broken:
            raise Stopped(PollErrorKind.SANDBOX_FAULT, message=str(broken)) from broken
        finally:
            self._machine.watchdog.end()
            self.cpu += process_time() - started

    def _stopped(self, trap: Trap) -> Stopped:
        match trap.trap_code:
            case TrapCode.STACK_OVERFLOW | TrapCode.MEMORY_OUT_OF_BOUNDS:
                return Stopped(PollErrorKind.STACK_LIMIT)
            case _ if self.is_full:
                return Stopped(PollErrorKind.MEMORY_LIMIT)  # the guest aborts when the engine itself gets no memory
            case code:
                return Stopped(PollErrorKind.SANDBOX_FAULT, message=f"The guest trapped: {code}")
