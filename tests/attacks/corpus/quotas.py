"""An organisation that takes all it may: it is told so, and no other organisation notices.

These attacks come last, because afterwards the attacker may have no more events on this day.
"""

import asyncio
from itertools import count
from typing import Any

from tests.attacks.attack import Attack
from tests.attacks.attacker import Attacker

_AT_A_TIME = 20
_CONNECTIONS = 16
_PIPELINED = 50  # requests that one connection sends before it reads the answers


async def _keys_without_end(attacker: Attacker) -> None:
    made: list[str] = []

    async def create() -> dict[str, Any]:
        while True:
            body = {"name": "Key", "scopes": ["TRIGGER_API"]}
            answer = await attacker.ask("POST", "/v1/api-keys", body=body, status=(201, 409))
            if answer.status_code == 409:
                return dict(answer.json())
            made.append(answer.json()["id"])

    refusals = await asyncio.gather(*(create() for _ in range(_AT_A_TIME)))
    used = {one["quota"]: one for one in (await attacker.ask("GET", "/v1/usage", status=(200,))).json()["data"]}
    for key in made:
        await attacker.ask("DELETE", f"/v1/api-keys/{key}", status=(204,))

    limit = used["api_keys"]["limit"]
    assert used["api_keys"]["used"] == limit, used
    assert all(one["quota"] == {"name": "api_keys", "limit": limit, "used": limit} for one in refusals), refusals[0]


async def _events_without_end(attacker: Attacker) -> None:
    """Send events until all connections are refused, and then as many requests again."""
    webhook = await attacker.webhook()
    numbers, refused = count(), asyncio.Event()
    sent: list[int | None] = []

    async def send() -> None:
        async with attacker.connected() as [wire]:
            rest = 10
            while rest:
                for _ in range(_PIPELINED):
                    head = webhook.head + b"Idempotency-Key: %d\r\nContent-Length: 2\r\n\r\n{}" % next(numbers)
                    await wire.send(head)
                answers = [await _answered(wire) for _ in range(_PIPELINED)]
                sent.extend(answers)
                if 429 in answers:
                    refused.set()
                rest -= refused.is_set()

    await asyncio.gather(*(send() for _ in range(_CONNECTIONS)))
    limit = next(
        one for one in (await attacker.ask("GET", "/v1/usage")).json()["data"] if one["quota"] == "events_a_day"
    )
    assert set(sent) <= {200, 429, 503}, set(sent)
    assert limit["limit"] <= limit["used"] < limit["limit"] + _CONNECTIONS * _PIPELINED, limit
    shown = (await attacker.ask("GET", f"/v1/project-triggers/{webhook.id}/explain")).json()
    assert "events_a_day" in shown["summary"], shown["summary"]


async def _answered(wire: Any) -> int | None:
    """Return the status of the next answer, and read its body."""
    head = (await wire.reader.readuntil(b"\r\n\r\n")).lower()
    _, _, after = head.partition(b"\r\ncontent-length:")
    await wire.reader.readexactly(int(after.split(b"\r\n")[0]))
    return int(head.split()[1])


ATTACKS = (
    Attack("keys without end", "H5", _keys_without_end, short=True),
    Attack("events without end", "H5", _events_without_end),
)
