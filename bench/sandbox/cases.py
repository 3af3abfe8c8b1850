"""The polls that every engine runs, and the events that they must return."""

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.support.contract_page import POLLING_CODE

LAST_POLL = datetime(2026, 3, 1, 12, 30, 15, 250_000, UTC)
LAST_POLL_TIME = "2026-03-01T12:30:15.250Z"
SECRETS = {"API_TOKEN": "tok_bench_1"}
INPUTS = {"projectId": "proj_123"}
REQUEST = {
    "method": "GET",
    "url": f"https://api.example.com/issues?since={LAST_POLL_TIME}",
    "headers": [["authorization", "Bearer tok_bench_1"]],
}
"""The request that each case with a fetch must send to its host."""

ANSWER_HEADERS = [
    ["cache-control", "private, max-age=60, s-maxage=60"],
    ["content-type", "application/json; charset=utf-8"],
    ["date", "Sun, 01 Mar 2026 12:31:00 GMT"],
    ["etag", 'W/"5d6fbc1a3e"'],
    ["vary", "Accept, Authorization, Accept-Encoding"],
    ["x-ratelimit-remaining", "4987"],
]
"""The headers of an answer, as many as an ordinary API sends."""

EXAMPLE_ITEMS, EXAMPLE_BYTES = 20, 4_700
LARGE_ITEMS, LARGE_BYTES = 3_900, 1_000_000
EVERY = 4  # every fourth item of the large answer becomes an event: 975 of the 1,000 that a poll may return

_EACH = "issues.map("
assert POLLING_CODE.count(_EACH) == 1
_LARGE_CODE = POLLING_CODE.replace(_EACH, f"issues.filter((issue) => issue.id % {EVERY} === 0).map(")


@dataclass(frozen=True)
class Case:
    name: str
    code: str
    body: bytes
    """The body of the answer to the case's fetch; empty if it makes none."""
    events: list[Any]

    @property
    def fetches(self) -> bool:
        return bool(self.body)


def cases() -> list[Case]:
    return [Case("return []", "return []", b"", []), example(), large()]


def example() -> Case:
    """Return the example of the public contract, character for character."""
    issues = _issues(EXAMPLE_ITEMS, EXAMPLE_BYTES)
    return Case("example, 4.7 KB", POLLING_CODE, _json(issues), [_event(issue) for issue in issues])


def large() -> Case:
    """Return the same example with 1 MB, and with a filter, because a poll may return only 1,000 events."""
    issues = _issues(LARGE_ITEMS, LARGE_BYTES)
    return Case("1 MB", _LARGE_CODE, _json(issues), [_event(issue) for issue in issues if issue["id"] % EVERY == 0])


def _event(issue: dict[str, Any]) -> dict[str, Any]:
    event = {key: issue[key] for key in ("id", "title", "description")}
    return {**event, "createdAt": issue["created_at"]}


def _issues(count: int, size: int) -> list[dict[str, Any]]:
    """Return issues as an issue tracker sends them, together `size` bytes of JSON or slightly less."""
    words = ["the", "build", "fails", "when", "customers", "open", "an", "order", "again", "after", "it", "was", "paid"]
    chance = random.Random(1)
    issues: list[dict[str, Any]] = [
        {
            "id": 1_000_000 + number,
            "title": f"Issue {number}: {' '.join(chance.sample(words, 3))}",
            "description": "",
            "created_at": f"2026-03-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z",
            "votes": chance.randrange(100),
            "labels": ["bug", chance.choice(words)],
        }
        for number in range(count)
    ]
    missing = (size - len(_json(issues))) // count
    for issue in issues:
        text = " ".join(chance.choice(words) for _ in range(missing // 2))
        issue["description"] = f"Größe ≠ 0; {text}"[: missing - 4]
    return issues


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
