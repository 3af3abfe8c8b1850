"""What was promised, what arrived, and what one says about the other.

An event is a number with a key: `(trigger, key)`. What was promised is noted by whoever heard the promise; what arrived
is what the target wrote down. The verdict compares them.
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
    """One request that the target received."""

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
    """A fault: when it began, when nothing was in the way of a recovery any more, and when an event sent after that
    had been acknowledged."""

    name: str
    at: float
    over: float
    recovered: float


@dataclass
class Ledger:
    """`file` is the target's. Times are of the machine's monotonic clock."""

    file: Path
    promised: dict[Key, float] = field(default_factory=dict)
    """When each event was acknowledged, or shown by its provider."""
    acknowledged: list[tuple[float, float]] = field(default_factory=list)
    """When each request that was acknowledged had been sent, and when it was answered."""
    refused: Counter[str] = field(default_factory=Counter)
    """Other answers, by their status; and requests without one."""
    strikes: list[Strike] = field(default_factory=list)
    _requests: list[Request] = field(default_factory=list)
    _read: int = 0

    def acknowledge(self, event: Key, sent: float, answered: float) -> None:
        self.promised[event] = answered
        self.acknowledged.append((sent, answered))

    def requests(self) -> Sequence[Request]:
        """All that the target has received so far."""
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
        return Verdict(
            promised=len(self.promised),
            delivered=len(deliveries),
            lost=sorted(self.missing()),
            doubled=sorted(event for event, ids in deliveries.items() if len(ids) > 1),
            repeated=sum(count - 1 for count in attempts.values()),
            retried=sum(attempt > 1 for _, attempt in attempts),
            unexplained=_unexplained(requests, self.strikes),
            strikes=dict(Counter(strike.name for strike in self.strikes)),
            recoveries=sorted(strike.recovered - strike.over for strike in self.strikes),
            slowest=self._slowest(),
            refused=dict(self.refused),
        )

    def _slowest(self) -> float:
        """The longest way of an event from the promise to the target."""
        first: dict[Key, float] = {}
        for request in self.requests():
            first.setdefault(request.event, request.at)
        return max((first[event] - at for event, at in self.promised.items() if event in first), default=0.0)


@dataclass(frozen=True)
class Verdict:
    promised: int
    delivered: int
    """Events that the target received, those included whose sender heard no answer."""
    lost: Sequence[Key]
    doubled: Sequence[Key]
    """Events that were started under two delivery ids: a target can't tell that they are one."""
    repeated: int
    """Attempts that the target saw more than once, each with one delivery id: their workers died under them."""
    retried: int
    """Second and later attempts, because the one before failed."""
    unexplained: Sequence[Key]
    """Repeated, though no fault lay between the two."""
    strikes: dict[str, int]
    recoveries: Sequence[float]
    slowest: float
    refused: dict[str, int]

    @property
    def repeated_share(self) -> float:
        return self.repeated / self.delivered if self.delivered else 0.0

    def check(self, *, repeats: float = 0.005) -> None:
        """Raises `AssertionError` when a promise was broken. `repeats` is the share of them that is allowed."""
        assert self.promised, "nothing was acknowledged, so nothing was shown"
        assert not self.lost, f"{len(self.lost)} events were lost, such as {self.lost[:3]}"
        assert not self.doubled, f"{len(self.doubled)} events were started twice, such as {self.doubled[:3]}"
        assert not self.unexplained, f"{len(self.unexplained)} repeats without a fault, such as {self.unexplained[:3]}"
        assert self.repeated_share <= repeats, f"{self.repeated} of {self.delivered} attempts were repeated"

    def figures(self) -> dict[str, object]:
        return {
            "acknowledged": self.promised,
            "delivered": self.delivered,
            "lost": len(self.lost),
            "doubled": len(self.doubled),
            "repeated": self.repeated,
            "repeated_share": round(self.repeated_share, 5),
            "retried": self.retried,
            "faults": self.strikes,
            "recovery_median": round(median(self.recoveries or [0.0]), 2),
            "recovery_max": round(max(self.recoveries, default=0.0), 2),
            "slowest": round(self.slowest, 2),
            "refused": self.refused,
        }

    def line(self) -> str:
        faults = ", ".join(f"{count} x {name}" for name, count in self.strikes.items()) or "none"
        return (
            f"{self.promised} acknowledged, {self.delivered} delivered, {len(self.lost)} lost, {len(self.doubled)} "
            f"doubled, {self.repeated} repeated ({self.repeated_share:.2%}), {self.retried} retried; recovery median "
            f"{median(self.recoveries or [0.0]):.1f} s, max {max(self.recoveries, default=0.0):.1f} s; slowest event "
            f"{self.slowest:.1f} s; faults: {faults}"
        )


def _unexplained(requests: Iterable[Request], strikes: Sequence[Strike]) -> list[Key]:
    latest: dict[tuple[str, int], Request] = {}
    found = []
    for request in sorted(requests, key=lambda one: one.at):
        before = latest.get((request.delivery, request.attempt))
        if before and not any(strike.recovered >= before.at and strike.at <= request.at for strike in strikes):
            found.append(request.event)
        latest[request.delivery, request.attempt] = request
    return found
