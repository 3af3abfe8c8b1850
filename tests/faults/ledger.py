"""The promised events, the attempts that arrived, and the verdict that compares them.

An event is identified by `(trigger, key)`. A sender notes the promise when it gets the acknowledgement of a request;
the world notes the promises of polls and firings. The attempts that arrived are in a file that the target writes.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

Key = tuple[str, str]  # a trigger's id and an event's key


@dataclass(frozen=True)
class Request:
    """One attempt, as the target received it."""

    at: float
    delivery: str
    trigger: str
    key: str
    attempt: int

    @property
    def event(self) -> Key:
        return self.trigger, self.key


@dataclass(frozen=True)
class Strike:
    """A fault, and when it began and ended.

    The fault began at `at`. From `over` on, nothing prevented a recovery. At `recovered`, an event that was sent after
    `over` had been acknowledged.
    """

    name: str
    at: float
    over: float
    recovered: float


@dataclass
class Ledger:
    """The records of one run. The target writes `file`. All times are of the machine's monotonic clock."""

    file: Path
    promised: dict[Key, float] = field(default_factory=dict)
    """The time at which each event was acknowledged or, for polls and firings, at which the load had ended."""
    acknowledged: list[tuple[float, float]] = field(default_factory=list)
    """The times at which each acknowledged request was sent and answered."""
    refused: Counter[str] = field(default_factory=Counter)
    """The number of other answers, by status, and of requests without an answer, by error."""
    strikes: list[Strike] = field(default_factory=list)
    _requests: list[Request] = field(default_factory=list)
    _read: int = 0

    def acknowledge(self, event: Key, sent: float, answered: float) -> None:
        self.promised[event] = answered
        self.acknowledged.append((sent, answered))

    def requests(self) -> Sequence[Request]:
        """Return all attempts that the target has received so far."""
        if self.file.exists():
            with self.file.open("rb") as file:
                file.seek(self._read)
                *lines, _ = file.read().split(b"\n")
            self._read += sum(len(line) + 1 for line in lines)
            self._requests += [Request(**json.loads(line)) for line in lines]
        return self._requests

    def missing(self) -> set[Key]:
        return self.promised.keys() - {request.event for request in self.requests()}

    def verdict(self) -> "Verdict":
        requests = self.requests()
        deliveries = defaultdict(set)
        attempts: Counter[tuple[str, int]] = Counter()
        for request in requests:
            deliveries[request.event].add(request.delivery)
            attempts[request.delivery, request.attempt] += 1
        by_fault, unexplained = _explained(requests, self.strikes)
        return Verdict(
            promised=len(self.promised),
            delivered=len(deliveries),
            lost=sorted(self.missing()),
            doubled=sorted(event for event, ids in deliveries.items() if len(ids) > 1),
            repeated=sum(count - 1 for count in attempts.values()),
            retried=sum(attempt > 1 for _, attempt in attempts),
            most_repeated=max(by_fault.values(), default=0),
            unexplained=unexplained,
            strikes=dict(Counter(strike.name for strike in self.strikes)),
            recoveries=sorted(strike.recovered - strike.over for strike in self.strikes),
            slowest=self._slowest(),
            refused=dict(self.refused),
        )

    def _slowest(self) -> float:
        """Return the longest time between the promise of an event and its arrival at the target, in seconds."""
        first: dict[Key, float] = {}
        for request in self.requests():
            first.setdefault(request.event, request.at)
        return max((first[event] - at for event, at in self.promised.items() if event in first), default=0.0)


@dataclass(frozen=True)
class Verdict:
    promised: int
    delivered: int
    """The number of events that the target received, including events whose sender got no answer."""
    lost: Sequence[Key]
    doubled: Sequence[Key]
    """Events that arrived under two delivery ids: a target cannot tell that they are the same event."""
    repeated: int
    """The number of attempts that arrived again under the same delivery id, because their worker had died."""
    most_repeated: int
    """The largest number of these that one fault explains."""
    retried: int
    """The number of second and later attempts, each made because the attempt before it failed."""
    unexplained: Sequence[Key]
    """Events that were repeated although no fault lay between the two attempts."""
    strikes: dict[str, int]
    recoveries: Sequence[float]
    slowest: float
    refused: dict[str, int]

    @property
    def repeated_share(self) -> float:
        return self.repeated / self.delivered if self.delivered else 0.0

    def check(self, *, under_way: int, repeats: float | None) -> None:
        """Raise `AssertionError` if a promise was broken.

        A fault repeats at most what was under way when the fault struck, which is no more than `under_way`. `repeats`
        is the share of all attempts that may be repeated. It is None if the attempts between two faults are too few for
        a share.
        """
        assert self.promised, "nothing was acknowledged, so nothing was shown"
        assert not self.lost, f"{len(self.lost)} events were lost, such as {self.lost[:3]}"
        assert not self.doubled, f"{len(self.doubled)} events were started twice, such as {self.doubled[:3]}"
        assert not self.unexplained, f"{len(self.unexplained)} repeats without a fault, such as {self.unexplained[:3]}"
        limit = f"a fault repeated {self.most_repeated} attempts, and only {under_way} can have been on their way"
        assert self.most_repeated <= under_way, limit
        share = f"{self.repeated} of {self.delivered} attempts were repeated"
        assert repeats is None or self.repeated_share <= repeats, share

    def figures(self) -> dict[str, object]:
        return {
            "acknowledged": self.promised,
            "delivered": self.delivered,
            "lost": len(self.lost),
            "doubled": len(self.doubled),
            "repeated": self.repeated,
            "repeated_share": round(self.repeated_share, 5),
            "repeated_by_one_fault": self.most_repeated,
            "retried": self.retried,
            "faults": self.strikes,
            "recovery_median": round(median(self.recoveries or [0.0]), 2),
            "recovery_max": round(max(self.recoveries, default=0.0), 2),
            "slowest": round(self.slowest, 2),
            "refused": self.refused,
        }

    def line(self) -> str:
        faults = ", ".join(f"{count} x {name}" for name, count in self.strikes.items()) or "none"
        repeated = f"{self.repeated} repeated ({self.repeated_share:.2%}, at most {self.most_repeated} by one fault)"
        return (
            f"{self.promised} acknowledged, {self.delivered} delivered, {len(self.lost)} lost, {len(self.doubled)} "
            f"doubled, {repeated}, {self.retried} retried; recovery median "
            f"{median(self.recoveries or [0.0]):.1f} s, max {max(self.recoveries, default=0.0):.1f} s; slowest event "
            f"{self.slowest:.1f} s; faults: {faults}"
        )


def _explained(requests: Iterable[Request], strikes: Sequence[Strike]) -> tuple[Counter[Strike], list[Key]]:
    """Count the repeats that each fault explains, and list the events of the repeats that no fault explains.

    A repeat is explained by the first fault that struck before it and was not over before the original attempt. If
    there is none, a fault explains the repeat that was over by then, but not yet recovered from.
    """
    latest: dict[tuple[str, int], Request] = {}
    by_fault: Counter[Strike] = Counter()
    unexplained = []
    for request in sorted(requests, key=lambda one: one.at):
        before = latest.get((request.delivery, request.attempt))
        latest[request.delivery, request.attempt] = request
        if before:
            since = before.at
            between = [one for one in strikes if one.recovered >= since and one.at <= request.at]
            if between:
                by_fault[min(between, key=lambda one: (one.over < since, one.at))] += 1
            else:
                unexplained.append(request.event)
    return by_fault, unexplained
