"""One fresh JavaScript engine per poll, with the prelude in it, a CPU budget and a memory limit."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import process_time

from wasmtime import Trap, TrapCode

from hairtrigger.sandbox.code import PollErrorKind
from hairtrigger.sandbox.environment import ENTRIES, HOOKS, Hook, Value, prelude
from hairtrigger.sandbox.quickjs import Engine, GuestBroken, JavaScriptError, NoMemory
from hairtrigger.sandbox.watchdog import Watchdog

WASM_PAGE = 65_536
COPIED_PAGE = 4_096
NEARLY = 0.9


class Stopped(Exception):
    """The poll ran into a limit or broke its guest, which cannot go on."""

    def __init__(self, kind: PollErrorKind, name: str = "", message: str = "") -> None:
        super().__init__(kind)
        self.kind = kind
        self.name = name
        self.message = message


@dataclass(frozen=True)
class Image:
    """The memory of a guest in which the prelude has run (its pages that are not zero) and handles into it."""

    size: int
    chunks: tuple[tuple[int, bytearray], ...]
    stack_pointer: int
    scratch: int
    undefined: int
    entries: Mapping[str, int]


class Machine:
    """What all guests of a process share."""

    def __init__(self, compiled: bytes, memory_bytes: int) -> None:
        """`compiled`: what `serialized()` of another machine gave before it ran a user's code, or nothing."""
        self.engine = Engine(compiled)
        self.watchdog = Watchdog(self.engine.wasm)
        self.image = self._baked()
        self.memory_limit = self.image.size + memory_bytes

    def serialized(self) -> bytes:
        return self.engine.serialized()

    def _baked(self) -> Image:
        instance = self.engine.instance(WASM_PAGE * 1024, {})
        with self.watchdog.budget(instance.store, seconds=10):
            self.engine.enter(instance)
            instance.prepare()
            environment = instance.evaluated(prelude())
            entries = instance.call(environment, *(instance.function(name) for name in HOOKS))
            handles = {name: instance.member(entries, name) for name in ENTRIES}
            instance.export("run_gc")
        image = Image(
            size=instance.size,
            chunks=tuple(_filled_chunks(instance.read(0, instance.size))),
            stack_pointer=instance.stack_pointer.value(instance.store),
            scratch=instance.scratch,
            undefined=instance.undefined,
            entries=handles,
        )
        instance.close()
        return image


class Guest:
    """Runs one poll. `enter` returns when the guest waits for the host, and raises Stopped when it is at its end."""

    def __init__(self, machine: Machine, hooks: Mapping[str, Hook], cpu: float) -> None:
        self._machine = machine
        self._budget = cpu
        self.cpu = 0.0  # seconds used
        self._instance = machine.engine.instance(machine.memory_limit, hooks)
        self._restore(machine.image)

    def close(self) -> None:
        self._instance.close()

    def enter(self, entry: str, *arguments: Value) -> None:
        with self._slice():
            handles = [self._instance.handle(argument) for argument in arguments]
            result = self._instance.call(self._machine.image.entries[entry], *handles)
            self._instance.free(result, *handles)
            self._instance.run_jobs()

    @contextmanager
    def _slice(self) -> Iterator[None]:
        started = process_time()
        try:
            with self._machine.watchdog.budget(self._instance.store, self._budget - self.cpu):
                self._machine.engine.enter(self._instance)
                yield
        except Trap as trap:
            raise self._stopped(trap) from None
        except NoMemory:
            raise Stopped(PollErrorKind.MEMORY_LIMIT) from None
        except JavaScriptError:
            raise Stopped(PollErrorKind.JS_ERROR, "Error", "The code broke what the sandbox needs.") from None
        except GuestBroken as broken:
            raise Stopped(PollErrorKind.SANDBOX_FAULT, message=str(broken)) from broken
        finally:
            self.cpu += process_time() - started

    def _stopped(self, trap: Trap) -> Stopped:
        match trap.trap_code:
            case TrapCode.INTERRUPT:
                return Stopped(PollErrorKind.CPU_LIMIT)
            case TrapCode.STACK_OVERFLOW | TrapCode.MEMORY_OUT_OF_BOUNDS:
                return Stopped(PollErrorKind.JS_ERROR, "RangeError", "Maximum call stack size exceeded")
            case _ if self._instance.size > NEARLY * self._machine.memory_limit:
                return Stopped(PollErrorKind.MEMORY_LIMIT)  # the guest aborts when it gets none for itself
            case code:
                return Stopped(PollErrorKind.SANDBOX_FAULT, message=f"The guest trapped: {code}")

    def _restore(self, image: Image) -> None:
        instance = self._instance
        instance.memory.grow(instance.store, (image.size - instance.size) // WASM_PAGE)
        for start, chunk in image.chunks:
            instance.memory.write(instance.store, chunk, start)
        instance.stack_pointer.set_value(instance.store, image.stack_pointer)
        instance.scratch, instance.undefined = image.scratch, image.undefined


def _filled_chunks(memory: bytes) -> Iterator[tuple[int, bytearray]]:
    """The runs of pages with anything in them."""
    chunk = bytearray()
    for start in range(0, len(memory) + COPIED_PAGE, COPIED_PAGE):
        page = memory[start : start + COPIED_PAGE]
        if any(page):
            chunk += page
        elif chunk:
            yield start - len(chunk), chunk
            chunk = bytearray()
