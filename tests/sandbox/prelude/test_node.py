"""Buffer and Intl do what they do in Node: the same code runs in both. What is refused here may do more there."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hairtrigger.sandbox.protocol.poll import DEFAULT_LIMITS
from hairtrigger.sandbox.service.sandbox import Sandbox
from tests.sandbox.programs import returned
from tests.support.node import run

pytestmark = pytest.mark.anyio

REFUSED = "refused"
LIMITS = replace(DEFAULT_LIMITS, cpu=timedelta(minutes=1))  # they do very much in one poll


def _code(name: str) -> str:
    return (Path(__file__).parent / "node" / f"{name}.js").read_text()


BUFFERS = _code("buffers")
DATES = _code("dates")
NUMBERS = _code("numbers")
ORDERS = _code("orders")


@pytest.fixture(scope="module")
async def sandbox(compiled: bytes) -> AsyncIterator[Sandbox]:
    async with Sandbox.start(workers=1, limits=LIMITS, compiled=compiled) as started:
        yield started


async def _both(sandbox: Sandbox, folder: Path, code: str, **inputs: Any) -> tuple[list[Any], list[Any]]:
    poll = f"const inputs = {json.dumps(inputs)};\nconst poll = async () => {{{code}}};"
    script = f"{poll}\nconsole.log(JSON.stringify(await poll()));"
    theirs = run(folder, script)
    return await returned(sandbox, code, inputs=inputs), theirs


def _held(ours: list[Any], theirs: list[Any]) -> int:
    """Check that everything that is not refused is as in Node, and return how much that is."""
    wrong, right = [], 0
    for mine, other in zip(ours, theirs, strict=True):
        for place, (one, same) in enumerate(zip(mine, other, strict=True)):
            if one not in (same, REFUSED):
                wrong.append((mine[0], place, one, same))
            right += place > 0 and one == same != REFUSED
    assert wrong == []
    return right


async def test_a_buffer_is_as_in_node(sandbox: Sandbox, tmp_path: Path) -> None:
    ours, theirs = await _both(sandbox, tmp_path, BUFFERS)
    assert [(place, pair) for place, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1]] == []


@pytest.mark.parametrize("locale", [None, "en", "en-GB", "en-CA", "de-DE", "sv-SE"])
async def test_a_date_is_written_as_in_node_or_refused(sandbox: Sandbox, tmp_path: Path, locale: str | None) -> None:
    right = 0
    for start in range(0, 400, 40):
        right += _held(*await _both(sandbox, tmp_path, DATES, **{"locale": locale, "from": start}))
    assert right > 100


@pytest.mark.parametrize("locale", [None, "en-GB", "en-CA", "de-DE", "sv-SE"])
async def test_a_number_is_written_as_in_node_or_refused(sandbox: Sandbox, tmp_path: Path, locale: str | None) -> None:
    assert _held(*await _both(sandbox, tmp_path, NUMBERS, locale=locale)) > 200


async def test_texts_are_in_the_order_of_node_or_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    assert _held(*await _both(sandbox, tmp_path, ORDERS)) > 1000


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("new Date().toLocaleDateString('fr-FR')", "fr-FR"),
        ("new Date().toLocaleString('en-US', {timeZone: 'Mars/Olympus'})", "Mars/Olympus"),
        ("new Date().toLocaleTimeString('en-US', {timeZoneName: 'long'})", "timeZoneName"),
        ("new Intl.DateTimeFormat('en-US', {era: 'short'})", "era"),
        ("(1).toLocaleString('en-US', {notation: 'compact'})", "notation"),
        ("new Intl.PluralRules('en')", "PluralRules"),
        ("'a'.localeCompare('b', 'sv')", "sv-SE"),
    ],
)
async def test_what_is_not_known_is_refused_by_name(sandbox: Sandbox, code: str, named: str) -> None:
    [said] = await returned(sandbox, f"try {{ {code}; }} catch (error) {{ return [error.name + error.message]; }}")
    assert said.startswith("RangeError")
    assert named in said
