"""The service with a victim at work and an attacker, and what became of them in an attack."""

import asyncio
import json
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.attacks import attacker as attackers
from tests.attacks import organisation, victim
from tests.attacks.attack import MEBIBYTE, Attack
from tests.attacks.attacker import Attacker
from tests.attacks.service import METER_FILE, WHERE_FILE
from tests.attacks.victim import Victim
from tests.e2e.process import Client, Service

_PATIENCE = 600  # seconds for an attack: a service that stands still is told by its pause, not by this
_TRIES = 3
_BY_CHANCE = 0.5  # seconds: a longer pause is no chance
_SETTINGS = {
    "HAIRTRIGGER_EGRESS_ALLOW": '["127.0.0.0/8"]',
    "HAIRTRIGGER_LEAST_POLLING_SECONDS": "1",
    "HAIRTRIGGER_SANDBOX_WORKERS": "1",  # so that attacker and victim share one
}


@dataclass(frozen=True)
class Reading:
    """What the meter in the service measured since the reading before."""

    pauses: list[dict[str, float]]
    ticks: int

    @property
    def longest(self) -> float:
        return max((one["pause"] for one in self.pauses), default=0.0)


@dataclass(frozen=True)
class Verdict:
    attack: Attack
    reading: Reading
    peak: int
    """Bytes of memory above what there was before the attack."""
    lasting: int
    wrongs: list[str]
    seconds: float

    @property
    def broken(self) -> list[str]:
        """Every limit that was not kept, and everything that went wrong."""
        limits, broken = self.attack.limits, list(self.wrongs)
        if self.reading.longest > limits.pause:
            told = ", ".join(f"{name} {value * 1000:.0f} ms" for name, value in self.reading.pauses[0].items())
            broken.append(f"the event loop stood still for more than {limits.pause * 1000:.0f} ms: {told}")
        for name, grown, most in (("at its peak", self.peak, limits.peak), ("after", self.lasting, limits.lasting)):
            if grown > most:
                broken.append(f"memory {name} grew by {grown // MEBIBYTE} MiB, and {most // MEBIBYTE} are allowed")
        return broken

    def beside(self, other: "Verdict") -> "Verdict":
        """The verdict of two strikes: what went wrong in either, and the shorter pause."""
        reading = min(self.reading, other.reading, key=lambda one: one.longest)
        grown = max(self.peak, other.peak), max(self.lasting, other.lasting)
        return Verdict(self.attack, reading, *grown, [*other.wrongs, *self.wrongs], self.seconds + other.seconds)

    def line(self) -> str:
        figures = (
            f"{self.reading.longest * 1000:7.0f} ms  {self.peak / MEBIBYTE:+6.0f} MiB peak "
            f"{self.lasting / MEBIBYTE:+6.0f} lasting  {self.seconds:5.1f} s"
        )
        mark = "BROKEN" if self.broken else "ok    "
        name = f"{self.attack.case:4} {self.attack.name:58}"
        return "\n".join([f"{mark} {name} {figures}", *(f"         {one:.400}" for one in self.broken[:6])])

    def figures(self) -> dict[str, Any]:
        return {
            "case": self.attack.case,
            "pause_milliseconds": round(self.reading.longest * 1000, 1),
            "peak_bytes": self.peak,
            "lasting_bytes": self.lasting,
            "broken": self.broken,
        }


@dataclass
class Stage:
    service: Service
    victim: Victim
    attacker: Attacker
    readings: Path

    async def strike(self, attack: Attack, *, thoroughly: bool = True) -> Verdict:
        """What became of the service and the victim in this attack.

        A pause that is little longer than it may be counts when it comes again each time: else it is chance. Unless
        `thoroughly`, only a webhook of the victim's is awaited; what else went wrong is found by the next attack.
        """
        verdict = await self._struck(attack, thoroughly=thoroughly)
        for _ in range(_TRIES - 1):
            if not attack.limits.pause < verdict.reading.longest < _BY_CHANCE:
                break
            again = await self._struck(attack, thoroughly=thoroughly)
            verdict = again.beside(verdict)
        return verdict

    async def _struck(self, attack: Attack, *, thoroughly: bool) -> Verdict:
        began = time.monotonic()
        await self._read()
        before = _forget_peak(self.service.pid)
        seen = len(self.service.output)
        wrongs = await self._attacked(attack)
        await self.victim.is_served(thoroughly=thoroughly)
        wrongs += await self.victim.wrongs(thoroughly=thoroughly)
        reading, peak = await self._read(), _peak(self.service.pid)
        wrongs += _tracebacks(self.service.output[seen:])
        lasting = _resident(self.service.pid)
        return Verdict(attack, reading, peak - before, lasting - before, wrongs, time.monotonic() - began)

    async def _attacked(self, attack: Attack) -> list[str]:
        try:
            async with asyncio.timeout(_PATIENCE):
                await attack.run(self.attacker)
        except Exception as error:  # noqa: BLE001 the other attacks happen all the same
            return [f"{type(error).__name__}: {error}"]
        return []

    async def _read(self) -> Reading:
        """The meter writes a line when it is asked."""
        lines = len(self.readings.read_text().splitlines())
        os.kill(self.service.pid, signal.SIGUSR1)
        async with asyncio.timeout(_PATIENCE):
            while len(found := self.readings.read_text().splitlines(keepends=True)) <= lines or found[-1][-1] != "\n":
                await asyncio.sleep(0.01)
        read = json.loads(found[-1])
        return Reading(read["pauses"], read["ticks"])


@asynccontextmanager
async def staged(where: Path | None = None) -> AsyncIterator[Stage]:
    """A service that has done a little of everything, so that what is made at first use is there."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hairtrigger-attacks-")))
        folder.chmod(0o711)  # the database's own user must be able to enter
        readings = folder / "readings.jsonl"
        readings.touch()
        environment = {**_SETTINGS, METER_FILE: str(readings), **({WHERE_FILE: str(where)} if where else {})}
        service = Service(folder, environment, program=("-m", "tests.attacks.service"))
        await service.start()
        stack.push_async_callback(service.stop)
        operator = Client(service, await organisation.token(service, *service.login))
        good = await organisation.create(service, operator, "Victim")
        bad = await organisation.create(service, operator, "Attacker")
        await operator.close()
        await bad.create_project({"kind": "log"})
        working = await stack.enter_async_context(victim.working(good))
        attacker = await stack.enter_async_context(attackers.attacking(bad, service.port, working.polled))
        yield Stage(service, working, attacker, readings)
        await good.client.close()
        await bad.client.close()


def _resident(pid: int) -> int:
    return _status(pid, "VmRSS")


def _peak(pid: int) -> int:
    return _status(pid, "VmHWM")


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def _forget_peak(pid: int) -> int:
    """The memory that the process has now, from which on its peak is counted. See proc_pid_clear_refs(5)."""
    with suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    return _resident(pid)


def _tracebacks(output: str) -> list[str]:
    """Errors of the service that nothing in it expected."""
    return (
        ["the service logged an exception:" + output.split("Traceback", 1)[1][-600:]] if "Traceback" in output else []
    )
