"""Batches that are stored, and the places of polls, with `hairtrigger serve` and its database."""

import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast
from uuid import UUID

import httpx2

from bench.accept import small
from bench.beside.case import KINDS, Case, Kind, Measure, beside
from bench.crowd import Enabled, database, enable
from bench.exchanges import CURSOR
from bench.programs import Service, Webhook, program, service
from hairtrigger.domain.ids import new_id
from hairtrigger.domain.rhythm import next_beat

_EVERY = timedelta(seconds=2)
_PLACES = 50
_VICTIM, _NEIGHBOUR = 20, 200  # polls of an interval
_SETTLE = 3  # seconds
_LARGE = json.dumps({"text": "x" * 200_000})


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hairtrigger-bench-") as made:
        folder = Path(made)
        folder.chmod(0o711)  # for root the database runs as another user, which must reach its folder
        yield folder


@asynccontextmanager
async def _batches() -> AsyncIterator[Measure]:
    """Send small events beside small ones, and beside large ones. The events are also delivered."""
    with _folder() as folder, program("bench.workflow") as target, service(folder / "service") as running:
        ours = running.webhook(target, max_inflight=1)
        theirs = running.organisation("Neighbour").webhook(target, max_inflight=1)
        async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:

            async def send(webhook: Webhook, body: str) -> None:
                (await client.post(webhook.url, headers=dict(webhook.headers), content=body)).raise_for_status()

            yield beside(
                lambda: send(ours, small().text),
                {"friendly": lambda: send(theirs, small().text), "hostile": lambda: send(theirs, _LARGE)},
                at_a_time=12,
                per_second=60,
            )


class _Feeds(asyncio.Protocol):
    """Answers 304 to a poll, except of a hostile organisation: those polls have no answer."""

    def __init__(self, late: list[float]) -> None:
        self._late = late
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if b"\r\n\r\n" in self._received:
            _, whose, id_ = self._received.split(b" ", 2)[1].decode().split("/")
            self._received = b""
            if whose == "victim":
                now = datetime.now(UTC)
                self._late.append((now - next_beat(UUID(id_), _EVERY, now) + _EVERY).total_seconds())
            if whose != "hostile":
                self._transport.write(b'HTTP/1.1 304 Not Modified\r\netag: "0"\r\n\r\n')


@dataclass
class _Polls:
    running: Service
    url: str
    late: list[float]
    projects: dict[str, str] = field(default_factory=dict)

    async def enable(self, whose: str, number: int) -> None:
        if whose not in self.projects:
            organisation = self.running if whose == "victim" else self.running.organisation(whose)
            self.projects[whose] = organisation.project()
        await enable(self.running, self.projects[whose], self._triggers(whose, number))

    def _triggers(self, whose: str, number: int) -> Iterator[Enabled]:
        now = datetime.now(UTC)
        for _ in range(number):
            id_ = new_id(now)
            yield Enabled(
                id=id_,
                provider_id="rss",
                trigger_id="on_item_published",
                config={"url": f"{self.url}/{whose}/{id_}"},
                kind="poll",
                next_at=next_beat(id_, _EVERY, now),
                enabled_at=now,
                every_seconds=int(_EVERY.total_seconds()),
                cursor=CURSOR,
            )

    async def disable(self, whose: str) -> None:
        connection = await database(self.running)
        try:
            await connection.execute("DELETE FROM project_trigger WHERE project_id = $1", self.projects[whose])
        finally:
            await connection.close()

    async def measure(self, kind: Kind, seconds: float) -> list[float]:
        await self.enable(kind, _NEIGHBOUR)
        await asyncio.sleep(_SETTLE)
        self.late.clear()
        begun = time.monotonic()
        await asyncio.sleep(max(seconds, 2 * _EVERY.total_seconds()))
        late = list(self.late)
        expected = (int((time.monotonic() - begun) / _EVERY.total_seconds()) - 1) * _VICTIM
        late += max(0, expected - len(late)) * [time.monotonic() - begun]  # polls that did not come at all
        await self.disable(kind)
        await asyncio.sleep(_SETTLE)
        return late


@asynccontextmanager
async def _polls() -> AsyncIterator[Measure]:
    late: list[float] = []
    server = await asyncio.get_running_loop().create_server(lambda: _Feeds(late), "127.0.0.1", 0, backlog=1000)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    settings = {"CONCURRENT_POLLS": str(_PLACES), "LEAST_POLLING_SECONDS": "1", "POLL_DEADLINE_SECONDS": "31"}
    with _folder() as folder, service(folder / "service", **settings) as running:
        polls = _Polls(running, url, late)
        for whose in KINDS:
            await polls.enable(whose, 0)
        await polls.enable("victim", _VICTIM)
        yield polls.measure
    server.close()


CASES = (
    Case("batches of events", "accepted event", _batches),
    Case("places of polls", "lateness", _polls),
)
