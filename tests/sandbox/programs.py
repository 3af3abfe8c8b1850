"""Polling code for tests, and answers to its fetches."""

import json
from datetime import UTC, datetime
from typing import Any

from hairtrigger.sandbox.protocol.poll import Fetch, FetchFailed, HttpRequest, HttpResponse, Outcome, PollError, Program
from hairtrigger.sandbox.service.sandbox import Sandbox

LAST_POLL = datetime(2026, 3, 1, 12, 30, 15, 250_000, UTC)


def program(code: str, inputs: dict[str, Any] | None = None, secrets: dict[str, str] | None = None) -> Program:
    return Program(code, inputs or {}, secrets or {}, LAST_POLL)


def answer(body: Any, status: int = 200, **headers: str) -> HttpResponse:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return HttpResponse(status, "OK" if status == 200 else "", "https://answered.example/", False, named, content)


class Internet:
    """Gives every request the same answer, and remembers the requests."""

    def __init__(self, response: HttpResponse) -> None:
        self._response = response
        self.requests: list[HttpRequest] = []

    async def fetch(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        return self._response


async def nowhere(_request: HttpRequest) -> HttpResponse:
    raise FetchFailed("The address 10.0.0.1 is not public.")


async def returned(sandbox: Sandbox, code: str, fetch: Fetch = nowhere, **program_parts: dict[str, Any]) -> list[Any]:
    return (await sandbox.run(program(code, **program_parts), fetch)).value


async def failed(sandbox: Sandbox, code: str, fetch: Fetch = nowhere, **program_parts: dict[str, Any]) -> PollError:
    try:
        outcome: Outcome = await sandbox.run(program(code, **program_parts), fetch)
    except PollError as error:
        return error
    raise AssertionError(f"It returned {outcome.value!r:.200}.")
