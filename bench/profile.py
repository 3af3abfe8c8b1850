"""Profiles: of the service by function, and of PostgreSQL by step of the statement that stores a batch."""

import asyncio
import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import CodeType, FrameType
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from pydantic_core import from_json, to_json

from bench.load import Load, put
from bench.machine import cpu_seconds
from bench.programs import Service, Webhook
from bench.table import table
from hairtrigger.cli import main
from hairtrigger.domain.ids import new_id
from hairtrigger.store.events import request_batches
from hairtrigger.store.events.events import Event
from hairtrigger.store.events.request_batches import Write

CONNECTIONS = 64
FUNCTIONS = 25
BATCH = 64
ROUNDS = 30
_TOLD_BY = 10  # seconds
_EVERY = 0.001  # seconds of CPU time between two samples


def serving(samples: Path) -> str:
    """Return Python code that starts a service which samples itself from one SIGUSR1 to the next."""
    return f"from bench.profile import serve; serve({str(samples)!r})"


def serve(samples: str) -> None:
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()

    def sample(_signal: int, frame: FrameType | None) -> None:
        stack = [_name(one.f_code) for one in _frames(frame)]
        own[stack[0]] += 1
        within.update(set(stack))

    def begin(_signal: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGUSR1, end)
        signal.setitimer(signal.ITIMER_PROF, _EVERY, _EVERY)

    def end(_signal: int, _frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        unfinished = Path(f"{samples}.unfinished")
        unfinished.write_bytes(to_json({"own": own, "within": within}))
        unfinished.replace(samples)

    signal.signal(signal.SIGPROF, sample)
    signal.signal(signal.SIGUSR1, begin)
    main()


@contextmanager
def sampled(process: int) -> Iterator[None]:
    """Let a process that `serving` started sample itself while the block runs. It writes the samples after the end."""
    os.kill(process, signal.SIGUSR1)
    yield
    os.kill(process, signal.SIGUSR1)


def functions(samples: Path, each: float, unit: str) -> str:
    """Return a table of functions by CPU time, which includes the C code and system calls that they run.

    `each` is the CPU time of one `unit`, in microseconds.
    """
    patience = time.monotonic() + _TOLD_BY
    while not samples.exists() and time.monotonic() < patience:
        time.sleep(0.05)
    taken = from_json(samples.read_bytes())
    whole = sum(taken["own"].values())
    busiest = Counter(taken["own"]).most_common(FUNCTIONS)
    rows = [
        (name, f"{count / whole:.1%}", count / whole * each, taken["within"][name] / whole * each)
        for name, count in busiest
    ]
    return table((f"function of the service, of {each:.0f} µs/{unit}", "share", "own µs", "and called µs"), rows)


def accepting(running: Service, webhook: Webhook, body: str, samples: Path, seconds: float) -> str:
    load = Load(webhook.url, webhook.headers, body, CONNECTIONS, seconds, warm_up=1)
    put(load)
    before = cpu_seconds(running.process)
    with sampled(running.process):
        run = put(load)
    return functions(samples, (cpu_seconds(running.process) - before) / run.accepted * 1e6, "request")


def steps(running: Service, webhook: Webhook, body: str) -> str:
    """Return the time of each step of the statement that stores a batch. The statement runs and is rolled back."""
    return asyncio.run(_steps(running, UUID(webhook.url.rpartition("/")[2]), body.encode()))


async def _steps(running: Service, trigger_id: UUID, body: bytes) -> str:
    own: dict[str, list[float]] = defaultdict(list)
    connection = await asyncpg.connect(**running.database)
    try:
        trigger = await connection.fetchrow("SELECT *, xmin AS version FROM project_trigger WHERE id = $1", trigger_id)
        for _ in range(ROUNDS):
            arguments = request_batches.arguments([_write(trigger, body) for _ in range(BATCH)], datetime.now(UTC))
            transaction = connection.transaction()
            await transaction.start()
            plan = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {request_batches.WRITE}", *arguments)
            await transaction.rollback()
            [explained] = from_json(plan)
            own["planning (once for a connection)"].append(explained["Planning Time"])
            for name, milliseconds in _by_step(explained["Plan"]).items():
                own[name].append(milliseconds)
    finally:
        await connection.close()
    medians = {name: sorted(times)[len(times) // 2] / BATCH * 1000 for name, times in own.items()}
    rows = [(name, medians[name]) for name in sorted(medians, key=lambda name: -medians[name])]
    return table((f"step of the statement, for {BATCH} events", "µs/event"), rows)


def _write(trigger: Any, body: bytes) -> Write:
    now = datetime.now(UTC)
    event = Event(
        id=new_id(now),
        org_id=trigger["org_id"],
        project_id=trigger["project_id"],
        project_trigger_id=trigger["id"],
        key=str(uuid4()),
        type="webhook.on_request",
        subject=None,
        occurred_at=now,
        received_at=now,
        content_type="application/json",
        body=body,
    )
    return Write([event], [trigger["version"]])


def _by_step(plan: Any, within: str = "the answer") -> dict[str, float]:
    """Return the milliseconds of each named part (CTE) of a statement, without the parts that it reads from."""
    spent: dict[str, float] = defaultdict(float)
    for node, part in _nodes(plan, within):
        # Every step that reads a CTE includes the time of that CTE.
        below = sum(child["Actual Total Time"] * child["Actual Loops"] for child in node.get("Plans", ()))
        if node["Node Type"] != "CTE Scan":
            spent[part] += max(0.0, node["Actual Total Time"] * node["Actual Loops"] - below)
    return spent


def _nodes(node: Any, part: str) -> Iterator[tuple[Any, str]]:
    part = node.get("Subplan Name", part).removeprefix("CTE ") if "CTE " in node.get("Subplan Name", "") else part
    yield node, part
    for child in node.get("Plans", ()):
        yield from _nodes(child, part)


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame:
        yield frame
        frame = frame.f_back


def _name(code: CodeType) -> str:
    return f"{'/'.join(Path(code.co_filename).parts[-2:])}:{code.co_firstlineno} {code.co_qualname}"
