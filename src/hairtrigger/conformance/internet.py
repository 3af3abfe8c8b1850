"""A transport from `kit.http` to fakes, without sockets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

import httpx2
from starlette.types import ASGIApp


@dataclass(frozen=True)
class Reply:
    status: int
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)


class Internet:
    """Hosts by their addresses, such as `https://api.stripe.com`. `asked` lists the requests to them, in order."""

    def __init__(self, hosts: Mapping[str, ASGIApp]) -> None:
        self._hosts = _Hosts({address: httpx2.ASGITransport(app) for address, app in hosts.items()})
        self.asked: list[str] = []

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        redirects: Literal["follow", "manual"] = "manual",
        timeout: timedelta = timedelta(),  # noqa: ARG002, ASYNC109
        max_bytes: int = 0,  # noqa: ARG002
    ) -> Reply:
        self.asked.append(f"{method} {url}")
        async with httpx2.AsyncClient(transport=self._hosts, follow_redirects=redirects == "follow") as client:
            answer = await client.request(method, url, headers=dict(headers or {}), content=body)
        received = tuple((name.lower(), value) for name, value in answer.headers.items())
        return Reply(answer.status_code, received, answer.content)


class _Hosts(httpx2.AsyncBaseTransport):
    def __init__(self, hosts: Mapping[str, httpx2.ASGITransport]) -> None:
        self._hosts = hosts

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await self._hosts[f"{request.url.scheme}://{request.url.host}"].handle_async_request(request)
