"""Make the text of /metrics, from the metrics of this process, and from those of the whole service in the database.

However often the text is asked for, the database is asked at most once in `_KEPT`, and only one request at a time asks
it. While it can't answer, the metrics of the whole service are missing and `hairtrigger_shared_up` is 0.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from hairtrigger.domain.errors import HairtriggerError
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.loops import every
from hairtrigger.platform.metering import Families
from hairtrigger.services.metrics import ROLES, STATES, TROUBLES, WORK, Metrics
from hairtrigger.store.database import Store
from hairtrigger.store.upkeep import backlog
from hairtrigger.store.upkeep.backlog import Backlog

log = structlog.get_logger()

_KEPT = timedelta(seconds=10)
_ALIVE = timedelta(seconds=30)
_BEAT = timedelta(milliseconds=250)


@dataclass(frozen=True)
class _Shared:
    at: datetime
    backlog: Backlog | None = None  # None: it could not be read
    processes: Mapping[str, int] = field(default_factory=dict)


@dataclass(kw_only=True)
class Exposition:
    metrics: Metrics
    store: Store
    clock: Clock
    version: str
    role: str
    _shared: _Shared | None = field(default=None, init=False)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _registry: CollectorRegistry = field(init=False)

    def __post_init__(self) -> None:
        self._registry = Families(self.metrics.all()).registry()
        ProcessCollector(registry=self._registry)
        metrics = self.metrics
        metrics.build.reads_all(lambda: {(self.version, self.role): 1})
        metrics.shared_up.reads(lambda: float(self._backlog is not None))
        metrics.shared_read.reads(lambda: self._shared.at.timestamp() if self._shared and self._backlog else None)
        metrics.shared_deliveries.reads_all(lambda: self._counts(STATES))
        metrics.shared_triggers.reads_all(lambda: self._counts(TROUBLES))
        metrics.shared_oldest.reads_all(self._ages)
        metrics.shared_processes.reads_all(self._processes)

    async def text(self, accepted: str = "") -> tuple[bytes, str]:
        """Return the text and its content type, in a format that `accepted`, the value of `Accept`, names."""
        async with self._reading:
            if self._shared is None or not timedelta() <= self.clock.now() - self._shared.at < _KEPT:
                self._shared = await self._read()
        encode, content_type = choose_encoder(accepted)
        return encode(self._registry), content_type

    async def run(self) -> None:
        """Measure the lag of the event loop, until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time() + _BEAT.total_seconds()

        async def measure() -> None:
            nonlocal due
            now = loop.time()
            self.metrics.loop_lag.observe([max(0.0, now - due)])
            due = now + _BEAT.total_seconds()

        if self.metrics.on:
            await every(_BEAT, "lag of the event loop", measure, at_once=False)

    async def _read(self) -> _Shared:
        now = self.clock.now()
        try:
            async with self.store.transaction() as tx:
                found = await backlog.backlog(tx, now)
                return _Shared(now, found, await backlog.alive(tx, now - _ALIVE))
        except HairtriggerError as error:
            log.warning("the metrics of the whole service can't be read", reason=error.message)
        except Exception:
            log.exception("the metrics of the whole service can't be read")
        return _Shared(now)

    @property
    def _backlog(self) -> Backlog | None:
        return self._shared.backlog if self._shared else None

    def _counts(self, names: tuple[str, ...]) -> Mapping[tuple[str, ...], float]:
        found = self._backlog
        return {(name,): getattr(found, name) for name in names} if found else {}

    def _ages(self) -> Mapping[tuple[str, ...], float]:
        found = self._backlog
        ages: dict[tuple[str, ...], float] = {}
        if self._shared and found:
            for work in WORK:
                since: datetime | None = getattr(found, work)
                ages[work,] = max(0.0, (self._shared.at - since).total_seconds()) if since else 0.0
        return ages

    def _processes(self) -> Mapping[tuple[str, ...], float]:
        if self._shared is None or self._backlog is None:
            return {}
        return {(role,): self._shared.processes.get(role, 0) for role in ROLES}
