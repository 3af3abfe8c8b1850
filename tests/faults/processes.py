"""The processes of this machine, as Linux shows them."""

import asyncio
import os
import signal
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path


def children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def family(pid: int) -> list[int]:
    """Return the process and everything that it has started, the process itself first."""
    found = [pid]
    for one in found:
        found += children(one)
    return found


def command(pid: int) -> str:
    """Return the command line of a process, or an empty text if the process has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def kill(pids: Iterable[int], how: signal.Signals = signal.SIGKILL) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, how)


async def killed(pids: Sequence[int]) -> None:
    kill(pids)
    await ended(pids)


async def ended(pids: Iterable[int]) -> None:
    """Return when the processes have ended. Their parents need not have noticed it yet."""
    async with asyncio.timeout(30):
        while any(map(command, pids)):
            await asyncio.sleep(0.01)
