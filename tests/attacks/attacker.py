"""The hostile organisation: its server, its raw connections, and the ways in which it reaches the service."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx2

from tests.attacks.organisation import Organisation
from tests.support.servers import Answer, Seen, Server, response, serving

_SECRET = "the attacker's webhook secret"
_PATIENCE = 300.0  # seconds, as a safety net
_LONGEST_HEAD = 2**23  # bytes of the head of a request from the service
_ENDED = {"delivered", "dead", "suspended"}


@dataclass
class Attacker:
    """The hostile organisation. In the context `beside_a_poll`, a poll of the victim is under way in the sandbox."""

    organisation: Organisation
    port: int
    server: Server
    beside_a_poll: Callable[[], AbstractAsyncContextManager[None]]
    answers: dict[str, Answer] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)

    def serve(self, answer: Answer) -> str:
        """Return the address of a new page of the attacker's server, which gives this answer."""
        path = f"/{uuid4().hex}"
        self.answers[path] = answer
        self.calls[path] = 0
        return f"{self.server.url}{path}"

    def called(self, url: str) -> int:
        """Return how often the service called this address."""
        return self.calls[_page(urlsplit(url).path)]

    async def answer(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        path = _page(urlsplit(seen.path).path)
        self.server.seen.clear()
        if answer := self.answers.get(path):
            self.calls[path] += 1
            await answer(seen, writer)
        else:
            writer.write(response(404))

    async def poll_feed(self, answer: Answer) -> dict[str, Any]:
        """Poll a feed with this answer, and return how the poll ended.

        The first request for the feed gets a harmless answer, so that the trigger can be enabled.
        """

        async def first_harmless(seen: Seen, writer: asyncio.StreamWriter) -> None:
            await (answer if self.called(url) > 1 else _harmless)(seen, writer)

        url = self.serve(first_harmless)
        params = {"url": url, "polling_frequency": 86_400}
        trigger = await self.organisation.create_trigger("rss", "on_item_published", params)
        try:
            return await self.organisation.poll(trigger)
        finally:
            await self.organisation.delete_trigger(trigger)

    async def run(self, code: str, **more: Any) -> dict[str, Any]:
        """Run polling code as a dry run, and return the report."""
        return await self.organisation.dry_run(code, **more)

    async def poll_code(self, code: str, address: str = "") -> dict[str, Any]:
        """Poll a trigger with this code, and return how the poll ended. The trigger is deleted afterwards."""
        integration, slug = await self.organisation.create_integration(code, "Address")
        params = {"address": address or self.server.url, "polling_frequency": 86_400}
        trigger = await self.organisation.create_trigger(integration, slug, params)
        try:
            return await self.organisation.poll(trigger)
        finally:
            await self.organisation.delete_trigger(trigger)

    async def webhook(self, **params: Any) -> "Webhook":
        """Create a webhook trigger of the attacker, whose deliveries only appear in the service's log."""
        await self.organisation.create_project({"kind": "log"})
        id_ = await self.organisation.create_trigger("webhook", "on_request", params, secret=_SECRET)
        return Webhook(self, id_)

    async def deliver(self, target: Mapping[str, Any]) -> dict[str, Any]:
        """Send one event to this target, and return its delivery after the first attempt."""
        organisation = self.organisation
        project = await organisation.create_project(dict(target))
        id_ = await organisation.create_trigger("webhook", "on_request", {}, secret=_SECRET)
        answer = await Webhook(self, id_).send(b"{}", {"content-type": "application/json"})
        assert answer.is_success, f"a webhook was answered with {answer.status_code}: {answer.text[:300]}"
        async with asyncio.timeout(_PATIENCE):
            while True:
                found = (await organisation.client.ask("GET", f"/v1/deliveries?project_id={project}"))["data"]
                if found and (found[0]["status"] in _ENDED or found[0]["attempts"] > 0):
                    break
                await asyncio.sleep(0.05)
        await organisation.client.ask("POST", f"/triggers/{id_}/disable")
        return dict(found[0])

    async def ask(self, method: str, path: str, *, status: Sequence[int] = (), **options: Any) -> httpx2.Response:
        """Send a request to the service, and return the answer if its status is acceptable.

        Acceptable is each of `status`. If `status` is empty, everything except a failure of the service (5xx other than
        503) is acceptable.
        """
        answer = await self.organisation.client.send(method, path, **options)
        expected = answer.status_code in status if status else answer.status_code < 500 or answer.status_code == 503
        assert expected, f"{method} {path[:80]} was answered with {answer.status_code}: {answer.text[:300]}"
        return answer

    @asynccontextmanager
    async def connected(self, count: int = 1) -> AsyncIterator[list["Wire"]]:
        """Open raw connections to the service."""
        wires: list[Wire] = []
        try:
            while len(wires) < count:
                wires.append(Wire(*await asyncio.open_connection("127.0.0.1", self.port)))
            yield wires
        finally:
            for wire in wires:
                wire.close()


def _page(path: str) -> str:
    """Return the first segment of the path, which names the page. An attack may add anything behind it."""
    return "/".join(path.split("/", 2)[:2])


async def _harmless(_: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(response(200, b'<rss version="2.0"><channel><title>Calm</title></channel></rss>'))


@dataclass(frozen=True)
class Webhook:
    attacker: Attacker
    id: str

    @property
    def path(self) -> str:
        return f"/v1/webhooks/{self.id}"

    @property
    def head(self) -> bytes:
        """Return the first lines of a request with the right secret."""
        return f"POST {self.path} HTTP/1.1\r\nHost: service\r\nX-Webhook-Secret: {_SECRET}\r\n".encode()

    async def send(self, body: bytes, headers: Mapping[str, str] = {}) -> httpx2.Response:
        return await self.attacker.organisation.client.post_raw(
            self.path, body, {"x-webhook-secret": _SECRET, **headers}
        )


@dataclass(frozen=True)
class Wire:
    """A raw connection to the service, on which any bytes can be sent.

    Errors on the connection are ignored, because they harm only the attacker.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, *pieces: bytes) -> None:
        with suppress(OSError):
            for piece in pieces:
                self.writer.write(piece)
                await self.writer.drain()

    async def status(self) -> int | None:
        """Return the status of the next answer, or None if the service sends no readable one."""
        with suppress(OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_PATIENCE):
                head = await self.reader.readuntil(b"\r\n\r\n")
            return int(head.split()[1])
        return None

    async def rest(self) -> int:
        """Return how many bytes arrive until the service closes the connection."""
        count = 0
        with suppress(OSError):
            async with asyncio.timeout(_PATIENCE):
                while piece := await self.reader.read(2**16):
                    count += len(piece)
        return count

    def close(self) -> None:
        with suppress(OSError):
            self.writer.transport.abort()


@asynccontextmanager
async def attacking(
    organisation: Organisation, port: int, beside_a_poll: Callable[[], AbstractAsyncContextManager[None]]
) -> AsyncIterator[Attacker]:
    async with contextlib.AsyncExitStack() as stack:
        made: list[Attacker] = []

        async def answer(seen: Seen, writer: asyncio.StreamWriter) -> None:
            await made[0].answer(seen, writer)

        server = await stack.enter_async_context(serving(answer, longest_head=_LONGEST_HEAD))
        made.append(Attacker(organisation, port, server, beside_a_poll))
        yield made[0]
