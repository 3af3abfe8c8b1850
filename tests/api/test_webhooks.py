"""Requests to webhooks over real sockets, also while the service is short of room or without its database."""

import asyncio
import gzip
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from hairtrigger.main import Application, running
from hairtrigger.platform.http_server import HttpServer
from hairtrigger.platform.postgres import embedded
from hairtrigger.settings import Settings
from hairtrigger.store.statements import open_statements
from tests.api.conftest import _tenant
from tests.support.waiting import PATIENCE, until, until_true

pytestmark = pytest.mark.anyio

LIMIT = 1_100_000


@dataclass
class Door:
    """A service that only this module uses, on its own database, with one webhook."""

    app: Application
    database: AsyncExitStack
    folder: Path
    client: httpx2.AsyncClient
    path: str

    async def send(self, body: bytes = b"{}", key: str = "", **headers: str) -> httpx2.Response:
        return await self.client.post(self.path, content=body, headers={"idempotency-key": key, **headers})

    async def end_the_database(self) -> None:
        await self.database.aclose()

    async def start_the_database(self) -> None:
        await self.database.enter_async_context(embedded(self.folder / "postgres"))


@pytest.fixture(scope="module")
async def door() -> AsyncIterator[Door]:
    """Run the service in its own task: if it ends by itself, it ends its task, which must not be that of pytest."""
    opened: asyncio.Future[Door] = asyncio.get_running_loop().create_future()
    enough = asyncio.Event()
    with pytest.MonkeyPatch.context() as patch:
        patient = partial(open_statements, patience=timedelta(hours=1))
        patch.setattr("hairtrigger.main.open_statements", patient)
        serving = asyncio.create_task(_serve(opened, enough))
        await asyncio.wait((opened, serving), return_when=asyncio.FIRST_COMPLETED)
    if opened.done():
        yield opened.result()
    enough.set()
    await serving


async def _serve(opened: "asyncio.Future[Door]", enough: asyncio.Event) -> None:
    with tempfile.TemporaryDirectory(prefix="hairtrigger-") as made:
        folder = Path(made)
        folder.chmod(0o711)
        async with AsyncExitStack() as database:
            url = (await database.enter_async_context(embedded(folder / "postgres"))).url
            settings = Settings(
                database_url=SecretStr(url),
                data_dir=folder,
                sandbox_workers=1,
                max_body_bytes=LIMIT,
                max_waiting_requests=5,
                max_waiting_bytes=2 * 1024 * 1024,
                shutdown_seconds=0,
            )
            async with running(settings) as app, _served(app, settings) as address:
                async with _tenant(app) as tenant:
                    project = await tenant.project("http://127.0.0.1:1/")
                    id_, secret = await tenant.webhook(project["id"])
                headers = {"x-webhook-secret": secret}
                async with httpx2.AsyncClient(base_url=address, headers=headers, timeout=PATIENCE) as client:
                    opened.set_result(Door(app, database, folder, client, f"/v1/webhooks/{id_}"))
                    await enough.wait()


@asynccontextmanager
async def _served(app: Application, settings: Settings) -> AsyncIterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = HttpServer(app.asgi, settings.patience, settings.stop_within)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(sockets=[listener]))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True


async def test_a_body_in_chunks_is_refused_as_soon_as_it_is_too_large(door: Door) -> None:
    """The end of the body never comes, and the refusal does not need it."""
    reader, writer = await asyncio.open_connection(door.client.base_url.host, door.client.base_url.port)
    writer.write(f"POST {door.path} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    writer.write(b"%x\r\n%b\r\n" % (LIMIT + 1, bytes(LIMIT + 1)))
    assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
    writer.close()


async def test_a_compressed_body_is_decompressed_within_the_limit_of_bodies(door: Door) -> None:
    compressed = {"content-encoding": "gzip", "content-type": "application/json"}
    refused = await door.send(gzip.compress(bytes(100_000_000), 1), key="large", **compressed)
    assert (refused.status_code, "larger than" in refused.text) == (400, True)
    answer = await door.send(gzip.compress(b'{"a": "' + b"a" * (LIMIT - 9) + b'"}'), key="largest", **compressed)
    assert answer.status_code == 200, answer.text
    async with door.app.store.transaction() as tx:
        stored = (await tx.connection.execute(text("SELECT body FROM event ORDER BY id DESC LIMIT 1"))).scalar_one()
    assert stored == b'{"a": "' + b"a" * (LIMIT - 9) + b'"}'


async def test_every_method_reaches_the_webhook(door: Door) -> None:
    head, get = await door.client.head(door.path), await door.client.get(door.path)
    assert (head.status_code, head.content) == (200, b"")
    assert (get.status_code, get.headers["allow"]) == (405, "POST, PUT, PATCH, DELETE")
    asking = await door.client.options(door.path, headers={"webhook-request-origin": "events.example"})
    assert (asking.status_code, asking.headers["webhook-allowed-origin"]) == (200, "events.example")
    assert (await door.client.get("/v1/webhooks/github")).status_code == 405
    assert (await door.client.head("/v1/webhooks/01890a5d-ac96-774b-bcce-b302099a8057")).status_code == 404

    put = await door.client.put(f"{door.path}?source=a", content=b"{}", headers={"x-shopify-topic": "orders/create"})
    assert put.json()["status"] == "accepted"
    async with door.app.store.transaction() as tx:
        kept = (await tx.connection.execute(text("SELECT request FROM event ORDER BY id DESC LIMIT 1"))).scalar_one()
    assert (kept["method"], kept["query"]) == ("PUT", {"source": "a"})
    assert kept["headers"]["x-shopify-topic"] == "orders/create"
    assert "x-webhook-secret" not in kept["headers"]


@pytest.mark.parametrize(("count", "size"), [(20, 2), (10, 1_000_000)])
async def test_what_does_not_fit_among_what_waits_is_refused_at_once(door: Door, count: int, size: int) -> None:
    """Five requests with two megabytes in all may wait, for any time, while two statements wait for a lock."""
    async with door.app.store.transaction() as tx:
        await tx.connection.execute(text("LOCK TABLE event_key"))
        under_way = []
        for _ in range(2):
            under_way.append(asyncio.create_task(door.send()))
            await until(lambda: _waiting_statements(door, len(under_way)))
        sent = [asyncio.create_task(door.send(bytes(size))) for _ in range(count)]
        await until_true(lambda: sum(task.done() for task in sent) >= count - 5)
        assert not any(task.done() for task in under_way)
        refusals = [task.result() for task in sent if task.done()]
    assert {(one.status_code, one.headers["retry-after"]) for one in refusals} == {(503, "1")}
    accepted = [answer for answer in await asyncio.gather(*sent, *under_way) if answer.status_code == 200]
    assert 2 < len(accepted) <= 7
    assert (await door.send()).status_code == 200


async def test_while_the_database_is_away_requests_are_refused_and_afterwards_they_are_taken(door: Door) -> None:
    assert (await door.send(key="before")).status_code == 200
    await door.end_the_database()
    for answer in await asyncio.gather(*(door.send() for _ in range(5))):
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
    await door.start_the_database()
    answer = await until(lambda: _accepted(door, "after"))
    assert answer.json()["status"] == "accepted"
    assert (await door.send(key="before")).json()["status"] == "duplicate"


async def _waiting_statements(door: Door, count: int) -> bool:
    async with door.app.store.transaction() as tx:
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'event_key'::regclass")
        return bool((await tx.connection.execute(waiting)).scalar_one() == count)


async def _accepted(door: Door, key: str) -> httpx2.Response | None:
    answer = await door.send(key=key)
    return answer if answer.status_code == 200 else None


async def test_an_unknown_method_and_a_path_below_are_nowhere(door: Door) -> None:
    assert (await door.client.get(door.path)).status_code in {404, 405}
    assert (await door.client.post(f"{door.path}/more")).status_code == 404
