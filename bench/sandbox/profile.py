"""Profile a poll in a sandbox worker that is locked in and serves as always, but times its own parts."""

import cProfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import CodeType
from typing import Any
from unittest.mock import patch

from bench.machine import page_faults
from bench.sandbox.cases import Case
from bench.sandbox.ours import Internet, Ours
from bench.sandbox.stages import REST, STAGES
from bench.table import table
from hairtrigger.sandbox.protocol.frames import Frame, Kind
from hairtrigger.sandbox.service.live_poll import LivePoll

POLLS = 500
LARGE_POLLS = 20
ROUNDS = 3
WARM_UP = 5
FUNCTIONS = 15
_START = "hairtrigger.sandbox.service.spawn.PROGRAM"
_OTHER_START = """
import sys
sys.path[:] = sys.argv[3:]
from bench.sandbox import stages
stages.main(int(sys.argv[1]), int(sys.argv[2]))
"""

_FETCH = "const response = await fetch('https://api.example.com/'); "
STEPS = {
    "return []": "",
    "await": "await null;",
    "fetch": _FETCH,
    "fetch, text": _FETCH + "await response.text();",
    "fetch, arrayBuffer": _FETCH + "await response.arrayBuffer();",
    "fetch, json": _FETCH + "await response.json();",
}


async def profiled(cases: Sequence[Case]) -> str:
    with patch(_START, _OTHER_START), _told() as heads:
        async with Ours.started() as ours:
            workers = [await _stages(ours, case, heads) for case in cases]
    async with Ours.started() as ours:
        steps = [await _steps(ours, case) for case in cases if case.fetches]
        services = [await _functions(ours, case) for case in cases]
    return "\n\n".join(workers + steps + services)


async def _stages(ours: Ours, case: Case, heads: list[Any]) -> str:
    polls, internet = _polls(case), Internet(case.body)
    for _ in range(WARM_UP):
        await ours.run(case, internet)
    begin, before, faults = heads[-1], ours.cost(), _page_faults(ours)
    for _ in range(polls):
        await ours.run(case, internet)
    spent = _per_poll(heads[-1]["nanoseconds"], begin["nanoseconds"], polls * 1_000_000)
    calls = _per_poll(heads[-1]["calls"], begin["calls"], polls)
    rows: list[list[object]] = [
        [stage, spent[stage], f"{spent[stage] / sum(spent.values()):.0%}", calls.get(stage)]
        for stage in sorted([*STAGES, REST], key=spent.__getitem__, reverse=True)
    ]
    whole = (ours.cost() - before).worker * 1000 / polls
    touched = (_page_faults(ours) - faults) / polls
    rows += [["page faults", None, None, touched]]
    rows += [["all of these", sum(spent.values()), None, None], ["the process, as its clock says", whole, None, None]]
    return table((f"{case.name}: worker's CPU time", "ms a poll", "share", "calls a poll"), rows)


async def _steps(ours: Ours, case: Case) -> str:
    """Return the cost of polls that do more and more with the same answer. They are measured by turns."""
    polls = _polls(case) // ROUNDS
    internet = Internet(case.body)
    codes = {step: f"{code} return []" for step, code in STEPS.items()} | {"all of it": case.code}
    each: dict[str, list[float]] = {step: [] for step in codes}
    for _ in range(ROUNDS):
        for step, code in codes.items():
            before = ours.cost()
            for _ in range(polls):
                await ours.run(replace(case, code=code), internet)
            each[step].append(1000 * (ours.cost() - before).worker / polls)
    return table((f"{case.name}: worker's CPU time", "ms a poll"), [[step, min(each[step])] for step in codes])


async def _functions(ours: Ours, case: Case) -> str:
    """Return the times of the functions in the service's process. They include the profiler's own cost."""
    polls, internet, profiler = _polls(case), Internet(case.body), cProfile.Profile()
    await ours.run(case, internet)
    before = ours.cost()
    for _ in range(polls):
        await ours.run(case, internet)
    whole = 1000 * (ours.cost() - before).parent / polls
    with profiler:
        for _ in range(polls):
            await ours.run(case, internet)
    costs = {_named(entry.code): (entry.inlinetime, entry.callcount) for entry in profiler.getstats()}
    most = sorted(costs, key=lambda name: costs[name], reverse=True)[:FUNCTIONS]
    rows: list[list[object]] = [[name, 1000 * costs[name][0] / polls, costs[name][1] / polls] for name in most]
    rows.append(["CPU time when not profiled", whole, None])
    return table((f"{case.name}: service, wall time", "ms a poll", "calls a poll"), rows)


def _page_faults(ours: Ours) -> int:
    return sum(page_faults(worker) for worker in ours.workers)


def _named(code: str | CodeType) -> str:
    if isinstance(code, str):
        return code
    return f"{Path(code.co_filename).parent.name}/{Path(code.co_filename).stem}:{code.co_qualname}"


def _polls(case: Case) -> int:
    return LARGE_POLLS if len(case.body) > 100_000 else POLLS


def _per_poll(now: dict[str, int], before: dict[str, int], unit: int) -> dict[str, float]:
    return {name: (now.get(name, 0) - before.get(name, 0)) / unit for name in [*STAGES, REST]}


@contextmanager
def _told() -> Iterator[list[Any]]:
    """Yield a list that collects the heads of all DONE frames."""
    heads: list[Any] = []
    receive = LivePoll.receive

    def listen(live: LivePoll, frame: Frame) -> None:
        if frame.kind is Kind.DONE:
            heads.append(frame.head)
        receive(live, frame)

    with patch.object(LivePoll, "receive", listen):
        yield heads
