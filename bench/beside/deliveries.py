"""Places of deliveries: the neighbour's target answers at once, or never and with 10,000 deliveries under way."""

import asyncio
import re
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe
from uuid import uuid4

import httpx2

from bench.beside.case import Case, Kind, Measure
from bench.delivery import Target
from bench.pace import Pace, put
from bench.programs import Service, Webhook, program, service

PER_SECOND = 40  # requests of each organisation
_MANY = 10_000  # deliveries of the hostile project at a time
_LOGIN = re.compile(r"Log in +(\S+) +/ +(\S+)")
_NOTE = "x" * 1000


@dataclass
class _Beside:
    target: Target
    victim: Webhook
    neighbours: dict[Kind, Webhook]
    arrived: int = 0

    def latencies(self, kind: Kind, seconds: float) -> list[float]:
        """Return the time from each of the victim's requests until its delivery arrives at the victim's target."""
        with ThreadPoolExecutor(1) as threads:
            theirs = threads.submit(put, _pace(self.neighbours[kind], seconds))
            ours = put(_pace(self.victim, seconds))
            if ours.refused or theirs.result().refused:
                sys.exit("WRONG: requests were refused.")
        before, self.arrived = self.arrived, self.arrived + ours.accepted
        rows = sorted(self.target.arrivals(self.arrived).rows, key=lambda row: row[2])
        if len(rows) != self.arrived:
            sys.exit(f"WRONG: {self.arrived} requests were accepted, and {len(rows)} deliveries came.")
        return [at - due for _, at, due in rows[before:]]


def _pace(webhook: Webhook, seconds: float) -> Pace:
    return Pace(webhook.url, dict(webhook.headers), _NOTE, seconds, PER_SECOND, connections=8)


@contextmanager
def _organization(running: Service) -> Iterator[Service]:
    """Make another organisation, and yield the service as its user sees it."""
    shown = _LOGIN.search((running.data.parent / "output.txt").read_text())
    assert shown
    email, password = f"{uuid4()}@example.com", token_urlsafe()
    with httpx2.Client(base_url=running.api.base_url, trust_env=False, timeout=60) as api:
        _log_in(api, shown[1], shown[2])
        account = {"name": "Neighbour", "email": email, "password": password}
        api.post("/v1/organizations", json=account).raise_for_status()
        _log_in(api, email, password)
        yield Service(running.data, api, running.process)


def _log_in(api: httpx2.Client, email: str, password: str) -> None:
    token = api.post("/token", data={"username": email, "password": password}).raise_for_status().json()
    api.headers["authorization"] = f"Bearer {token['access_token']}"


@asynccontextmanager
async def _opened() -> AsyncIterator[Measure]:
    with (
        tempfile.TemporaryDirectory(prefix="hairtrigger-bench-") as made,
        program("bench.target") as ours,
        program("bench.target") as theirs,
        socket.create_server(("127.0.0.1", 0), backlog=4096) as silent,
    ):
        await asyncio.to_thread(
            Path(made).chmod, 0o711
        )  # for root the database runs as another user, which must reach it
        never = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with service(Path(made) / "service") as running, _organization(running) as other:
            neighbours: dict[Kind, Webhook] = {
                "friendly": other.webhook(theirs),
                "hostile": other.webhook(never, max_inflight=_MANY, timeout_seconds=300),
            }
            beside = _Beside(Target(ours), running.webhook(ours), neighbours)

            async def measure(kind: Kind, seconds: float) -> list[float]:
                return await asyncio.to_thread(beside.latencies, kind, seconds)

            yield measure


CASES = (Case("deliveries", "delivery", _opened),)
