"""Watch how full the disk is. When it is nearly full, the log says so; when it is full, no new event is taken."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import structlog

from hairtrigger.domain.disk import DiskState, DiskUse, Thresholds
from hairtrigger.domain.quotas import DiskFull
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.loops import every

log = structlog.get_logger()

_EVERY = timedelta(seconds=1)

Measure = Callable[[], Awaitable[float]]


class DiskWatch:
    """Watches how full the disk is. Of all measures, the highest counts.

    Without measures, the state stays `unknown` and nothing is refused.
    """

    def __init__(self, clock: Clock, measures: Sequence[Measure], thresholds: Thresholds) -> None:
        self._clock = clock
        self._measures = measures
        self._thresholds = thresholds
        self._state: DiskState = "unknown"
        self._used: float | None = None
        self._since = clock.now()

    @property
    def use(self) -> DiskUse:
        return DiskUse(self._state, self._used, self._thresholds)

    @property
    def full(self) -> bool:
        return self._state == "full"

    def refusal(self) -> DiskFull | None:
        """Return why no new event may be stored now, or None if it may."""
        return DiskFull(self.use.sentence, since=self._since) if self.full else None

    async def run(self) -> None:
        if self._measures:
            await every(_EVERY, "disk", self.look)

    async def look(self) -> None:
        self.found(max([await measure() for measure in self._measures], default=None), self._clock.now())

    def found(self, used: float | None, now: datetime) -> None:
        """Set the state from the used share, between 0 and 1, or to `unknown` for None.

        The log gets one line when the disk becomes low or full, or has room again.
        """
        before, self._used = self._state, used
        self._state = self._thresholds.state(used, before)
        if self._state == before:
            return
        self._since = now
        match self._state:
            case "full":
                log.error("the disk is full", says=self.use.sentence)
            case "low":
                log.warning("the disk is nearly full", says=self.use.sentence)
            case "ok" if before != "unknown":
                log.info("the disk has room again", says=self.use.sentence)
            case _:
                pass
