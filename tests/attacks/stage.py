"""The service with a victim at work and an attacker, and the verdict on what an attack did to them."""

import asyncio
import json
import os
import re
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

_PATIENCE = 600  # seconds for an attack; generous, because the meter finds a service that stands still
_TRIES = 3
_BY_CHANCE = 0.5  # seconds; a busy machine alone makes no longer pause
# Failures of the victim that come from a time limit, so that a busy machine can cause them too.
_CHANCE = re.compile("answered with 503|unavailable|cut_off|timed_out|in time|no answer|WallLimit|fetch failed")
_SETTINGS = {
    "HAIRTRIGGER_EGRESS_ALLOW": '["127.0.0.0/8"]',
    "HAIRTRIGGER_LEAST_POLLING_SECONDS": "1",
    "HAIRTRIGGER_QUOTA_API_KEYS": "60",
    "HAIRTRIGGER_QUOTA_EVENTS_A_DAY": "20000",
    "HAIRTRIGGER_SANDBOX_WORKERS": "1",  # so that attacker and victim share one
}


@dataclass(frozen=True)
class Reading:
    """The meter's measurements since the previous reading."""

    pauses: list[dict[str, float]]
    ticks: int

    @property
    def longest(self) -> float:
        return max((one["pause"] for one in self.pauses), default=0.0)


@dataclass(frozen=True)
class Finding:
    """A limit that was exceeded, or harm that was done."""

    words: str
    chance: bool = False
    """True if a busy machine can cause the same. Such a finding counts only if each strike has one."""


@dataclass(frozen=True)
class Verdict:
    attack: Attack
    reading: Reading
    peak: int
    """The highest memory during the attack, in bytes above the memory before the attack."""
    lasting: int
    harm: list[Finding]
    seconds: float

    @property
    def findings(self) -> list[Finding]:
        limits, found = self.attack.limits, list(self.harm)
        if self.reading.longest > limits.pause:
            told = ", ".join(f"{name} {value * 1000:.0f} ms" for name, value in self.reading.pauses[0].items())
            words = f"the event loop stood still for more than {limits.pause * 1000:.0f} ms: {told}"
            found.append(Finding(words, self.reading.longest < _BY_CHANCE))
        for name, grown, most in (("at its peak", self.peak, limits.peak), ("after", self.lasting, limits.lasting)):
            if grown > most:
                words = f"memory {name} grew by {grown // MEBIBYTE} MiB, and {most // MEBIBYTE} are allowed"
                found.append(Finding(words))
        return found

    def line(self) -> str:
        figures = (
            f"{self.reading.longest * 1000:7.0f} ms  {self.peak / MEBIBYTE:+6.0f} MiB peak "
            f"{self.lasting / MEBIBYTE:+6.0f} lasting  {self.seconds:5.1f} s"
        )
        findings = self.findings
        mark = "BROKEN" if findings else "ok    "
        name = f"{self.attack.case:4} {self.attack.name:58}"
        return "\n".join([f"{mark} {name} {figures}", *(f"         {one.words:.400}" for one in findings[:6])])

    def figures(self) -> dict[str, Any]:
        return {
            "case": self.attack.case,
            "pause_milliseconds": round(self.reading.longest * 1000, 1),
            "peak_bytes": self.peak,
            "lasting_bytes": self.lasting,
            "findings": [one.words for one in self.findings],
        }


@dataclass
class Stage:
    service: Service
    victim: Victim
    attacker: Attacker
    readings: Path

    async def strike(self, attack: Attack, *, thoroughly: bool = True) -> Verdict:
        """Run the attack, and return what it did to the service and the victim.

        Findings that a busy machine can cause too count only if they come in each of three strikes. Unless `thoroughly`
        is true, only one webhook of the victim is awaited afterwards.
        """
        for _ in range(_TRIES - 1):
            verdict = await self._struck(attack, thoroughly=thoroughly)
            if not verdict.findings or not all(one.chance for one in verdict.findings):
                return verdict
        return await self._struck(attack, thoroughly=thoroughly)

    async def _struck(self, attack: Attack, *, thoroughly: bool) -> Verdict:
        began = time.monotonic()
        await self._read()
        before = _forget_peak(self.service.pid)
        seen = len(self.service.output)
        harm = await self._attacked(attack)
        await self.victim.is_served(thoroughly=thoroughly)
        wrongs = await self.victim.wrongs(thoroughly=thoroughly)
        harm += [Finding(one, _CHANCE.search(one) is not None) for one in wrongs]
        harm += _tracebacks(self.service.output[seen:])
        peak = _peak(self.service.pid)
        reading = await self._read()
        lasting = _resident(self.service.pid)
        return Verdict(attack, reading, peak - before, lasting - before, harm, time.monotonic() - began)

    async def _attacked(self, attack: Attack) -> list[Finding]:
        try:
            async with asyncio.timeout(_PATIENCE):
                await attack.run(self.attacker)
        except Exception as error:  # noqa: BLE001 the other attacks must still run
            return [Finding(f"{type(error).__name__}: {error}")]
        return []

    async def _read(self) -> Reading:
        """Make the meter write a reading, and return that reading."""
        lines = len(self.readings.read_text().splitlines())
        os.kill(self.service.pid, signal.SIGUSR1)
        async with asyncio.timeout(_PATIENCE):
            while len(found := self.readings.read_text().splitlines(keepends=True)) <= lines or found[-1][-1] != "\n":
                await asyncio.sleep(0.01)
        read = json.loads(found[-1])
        return Reading(read["pauses"], read["ticks"])


@asynccontextmanager
async def staged(where: Path | None = None) -> AsyncIterator[Stage]:
    """Start the service with a victim at work and an attacker.

    Strike with `WARMING_UP` first, so that the figures of later attacks do not contain what the service creates at
    first use.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hairtrigger-attacks-")))
        folder.chmod(0o711)  # the system user of the database must be able to enter
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
        stack.push_async_callback(good.client.close)
        stack.push_async_callback(bad.client.close)
        await bad.create_project({"kind": "log"})
        working = await stack.enter_async_context(victim.working(good))
        attacker = await stack.enter_async_context(attackers.attacking(bad, service.port, working.polled))
        yield Stage(service, working, attacker, readings)


def _resident(pid: int) -> int:
    return _status(pid, "VmRSS")


def _peak(pid: int) -> int:
    return _status(pid, "VmHWM")


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def _forget_peak(pid: int) -> int:
    """Reset the peak of the process's memory, and return the memory it has now. See proc_pid_clear_refs(5)."""
    with suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    return _resident(pid)


def _tracebacks(output: str) -> list[Finding]:
    """Return a finding if the service logged a traceback: an error that it did not expect."""
    _, found, after = output.partition("Traceback")
    return [Finding(f"the service logged an exception: {after[-600:]}")] if found else []
