"""Figures that the kernel counts: CPU time and memory of processes, and how busy the machine was. Linux only."""

import os
import platform
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
QUIET_LOAD = 0.5
QUIET_OTHERS = 0.05


def cpu_seconds(process: int) -> float:
    """Return the user and system time of all threads of a process, from its clock; see clock_getcpuclockid(3).

    The clock counts nanoseconds.
    """
    return time.clock_gettime((~process << 3) | 2)


def resident_bytes(process: int) -> int:
    """Return the resident memory. A page counts once for each place where it is mapped, shared or not."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE


def proportional_bytes(process: int) -> int | None:
    """Return the memory where a page that n processes or places share counts 1/n, or None if it may not be read."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), None)


def page_faults(process: int) -> int:
    """Return the page faults that read no disk: memory that was touched for the first time, or copied."""
    return int(_fields(process)[7])


def descendants(process: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and (parent := _parent(folder)) is not None:
            children.setdefault(parent, []).append(int(folder.name))
    found: set[int] = set()
    waiting = [process]
    while waiting:
        new = [child for child in children.get(waiting.pop(), []) if child not in found]
        found.update(new)
        waiting += new
    return found


def _parent(folder: Path) -> int | None:
    try:
        return int(_fields(folder.name)[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _fields(process: int | str) -> list[str]:
    """Return the fields of proc_pid_stat(5), from the state on."""
    _, _, fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")  # its name may have any character
    return fields.split()


@dataclass
class Machine:
    """The facts about a machine that the figures depend on."""

    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def warnings(self) -> list[str]:
        """Return the reasons for which the figures may be worse than this machine can do."""
        found = []
        if self.facts["load"] > QUIET_LOAD:
            found.append(f"the load before the run was {self.facts['load']}")
        if self.facts.get("others_busy", 0) > QUIET_OTHERS:
            found.append(f"other processes used {self.facts['others_busy']:.0%} of the processors during the run")
        if self.facts.get("stolen", 0) > QUIET_OTHERS:
            found.append(f"the host of this virtual machine took away {self.facts['stolen']:.0%} of its processors")
        return found


@contextmanager
def observed(**versions: str) -> Iterator[Machine]:
    """Yield the machine. At the end, add how busy other processes and the host were meanwhile."""
    machine = Machine(
        {
            "cpus": os.cpu_count(),
            "load": round(os.getloadavg()[0], 2),
            "python": platform.python_version(),
            "system": platform.platform(terse=True),
            "processor": _processor(),
            **versions,
        }
    )
    begin, busy, stolen, own = time.monotonic(), *_busy(), _own()
    yield machine
    busy_now, stolen_now = _busy()
    available = (time.monotonic() - begin) * (os.cpu_count() or 1)
    machine.facts["others_busy"] = round(max(0.0, busy_now - busy - (_own() - own)) / available, 3)
    machine.facts["stolen"] = round((stolen_now - stolen) / available, 3)


def _busy() -> tuple[float, float]:
    """Return the CPU seconds of all processes since the machine started, and those that its host took away."""
    fields = [int(number) for number in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = fields[:8]
    return (user + nice + system + interrupts + soft_interrupts) / _TICKS, stolen / _TICKS


def _own() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    living = sum(cpu_seconds(process) for process in descendants(os.getpid()))
    return time.process_time() + ended.ru_utime + ended.ru_stime + living


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
