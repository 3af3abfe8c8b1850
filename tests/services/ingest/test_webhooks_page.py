"""The examples of docs/webhooks.md are sent, as they stand there, to triggers with the configurations beside them."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from hairtrigger.kit.handshake import Answer
from hairtrigger.kit.incoming import Headers, Request
from hairtrigger.kit.senders import SENDERS
from hairtrigger.platform.vault import Vault
from hairtrigger.providers import webhook
from hairtrigger.store import partitions
from hairtrigger.store.database import Store
from tests.services.scene import Scene, a_scene
from tests.support.clock import ManualClock
from tests.support.webhooks_page import EXAMPLES, NOW

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text()
_EXAMPLE = re.compile(
    r"^### (?P<title>[^\n]+)\n\n(?:(?!```)[^#][^\n]*\n+)*```json\n(?P<config>.*?)\n```\n\nSecret: `(?P<secret>.*?)`\n\n"
    r"```http\n(?P<request>.*?)\n```\n\nAnswer: `(?P<answer>.*?)`\."
    r"(?: The same request again: `(?P<again>\w+)`\.)?(?:\n\nThe event:\n\n```json\n(?P<event>.*?)\n```)?\n",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Found:
    """An example as the page shows it."""

    title: str
    config: dict[str, Any]
    secret: str
    request: str
    answer: str
    again: str | None
    event: dict[str, Any]

    def sent(self, id_: UUID) -> Request:
        head, _, body = self.request.partition("\n\n")
        first, *lines = head.split("\n")
        method, target, _ = first.split(" ")
        headers = Headers(tuple(line.split(": ", 1)) for line in lines)  # type: ignore[misc]
        return Request(method, f"https://hooks.test/{id_}{target[1:]}", headers, body.encode(), NOW)


def examples() -> list[Found]:
    return [_found(found.groupdict()) for found in _EXAMPLE.finditer(PAGE)]


def _found(parts: dict[str, Any]) -> Found:
    read = {name: json.loads(parts[name] or "{}") for name in ("config", "event")}
    return Found(**{**parts, **read})


@pytest.fixture
async def scene(store: Store, vault: Vault) -> AsyncIterator[Scene]:
    async with store.transaction() as tx:
        await partitions.make_ahead(tx, NOW.date())
    async with a_scene(store, ManualClock(NOW), vault, webhook.provider) as scene:
        yield scene


def test_every_example_of_the_page_is_found() -> None:
    assert [one.title for one in examples()] == [one.title for one in EXAMPLES]


def test_every_known_sender_has_a_row() -> None:
    rows = re.findall(r"^\| `([a-z0-9_]+)` \| [^|]+ \| [^|]+ \|.*\|.*\|.*\|$", PAGE, re.MULTILINE)
    assert rows == sorted(SENDERS)


@pytest.mark.parametrize("example", examples(), ids=lambda one: one.title)
async def test_an_example_does_what_the_page_says(scene: Scene, example: Found) -> None:
    id_ = await scene.world.create("webhook", "on_request", example.config)
    if not example.answer.startswith("200"):
        await scene.world.triggers.rotate_secret(scene.world.caller, id_, example.secret)
        await scene.world.triggers.enable(scene.world.caller, id_)

    answer = await scene.ingest.receive(str(id_), example.sent(id_))

    assert _shown(answer) == example.answer
    if example.again:
        scene.clock.advance(timedelta(seconds=1))
        assert _shown(await scene.ingest.receive(str(id_), example.sent(id_))) == example.again
    for name, value in example.event.items():
        event = (await scene.world.events(id_))[0]
        shown = {"key": event.key, "type": event.type, "data": event.body, "request": event.request}[name]
        assert (json.loads(shown) if name in ("data", "request") and shown else shown) == value


@pytest.mark.parametrize("example", [one for one in examples() if one.again], ids=lambda one: one.title)
async def test_an_example_with_another_secret_is_refused(scene: Scene, example: Found) -> None:
    """Show that the proof of each example is checked: its secret makes the difference."""
    id_ = await scene.world.create("webhook", "on_request", example.config)
    other = example.secret[:-2] + ("ab" if example.secret[-2:] != "ab" else "cd")
    if "public_key" in example.config.values():
        other = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    if example.secret.endswith("="):
        other = example.secret.replace("M", "N", 1)
    await scene.world.triggers.rotate_secret(scene.world.caller, id_, other)
    await scene.world.triggers.enable(scene.world.caller, id_)
    with pytest.raises(Exception, match=r"match|token|secret|Authorization|missing"):
        await scene.ingest.receive(str(id_), example.sent(id_))


def _shown(answer: Answer) -> str:
    body = answer.body.decode()
    if answer.content_type == "application/json" and "status" in body:
        return str(json.loads(body)["status"])
    headers = [f"{name}: {value}" for name, value in answer.more.items()]
    return " ".join([str(answer.status), *filter(None, [body, *headers])])
