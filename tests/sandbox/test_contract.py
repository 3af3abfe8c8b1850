"""The polling code of the public "Create Trigger" page runs here as it is printed there."""

import json
from datetime import UTC, datetime

import pytest

from hairtrigger.sandbox.protocol.poll import PollErrorKind, Program
from hairtrigger.sandbox.service.sandbox import Sandbox
from tests.sandbox.programs import LAST_POLL, Internet, answer, failed
from tests.support.contract_page import POLLING_CODE

pytestmark = pytest.mark.anyio

ISSUES = [
    {"id": 7, "title": "It breaks", "description": "Often.", "created_at": "2026-03-01T12:31:00Z", "votes": 3},
    {"id": 8, "title": "Größe ≠ 0", "description": None, "created_at": "2026-03-01T12:32:00Z", "votes": 0},
]


def contract(secrets: dict[str, str]) -> Program:
    return Program(POLLING_CODE, {"projectId": "proj_123"}, secrets, LAST_POLL)


async def test_the_printed_code_returns_an_event_for_each_issue(sandbox: Sandbox) -> None:
    internet = Internet(answer(ISSUES, content_type="application/json"))

    outcome = await sandbox.run(contract({"API_TOKEN": "tok_1"}), internet.fetch)

    assert outcome.value == [
        {"id": 7, "title": "It breaks", "description": "Often.", "createdAt": "2026-03-01T12:31:00Z"},
        {"id": 8, "title": "Größe ≠ 0", "description": None, "createdAt": "2026-03-01T12:32:00Z"},
    ]
    (request,) = internet.requests
    assert request.method == "GET"
    assert request.url == "https://api.example.com/issues?since=2026-03-01T12:30:15.250Z"
    assert request.headers == (("authorization", "Bearer tok_1"),)
    assert request.body is None
    assert request.redirect == "follow"
    assert outcome.usage.fetches == 1
    assert outcome.usage.response_bytes == len(json.dumps(ISSUES).encode())
    assert outcome.usage.cpu < outcome.usage.wall


async def test_the_printed_code_fails_where_it_throws(sandbox: Sandbox) -> None:
    internet = Internet(answer({"error": "no"}, status=503))

    error = await failed(sandbox, POLLING_CODE, internet.fetch)

    assert (error.kind, error.name, error.message) == (PollErrorKind.JS_ERROR, "Error", "Failed to fetch issues")
    assert error.line is not None
    assert "throw new Error" in POLLING_CODE.split("\n")[error.line - 1]


async def test_last_poll_time_is_utc_wherever_the_poll_was_made(sandbox: Sandbox) -> None:
    berlin = datetime.fromisoformat("2026-07-01T02:00:00+02:00")

    outcome = await sandbox.run(Program("return [lastPollTime]", {}, {}, berlin), Internet(answer([])).fetch)

    assert outcome.value == ["2026-07-01T00:00:00.000Z"]
    assert berlin.astimezone(UTC).hour == 0
