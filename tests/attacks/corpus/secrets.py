"""Dry runs whose secrets make the redaction of the report expensive."""

from typing import Any

from tests.attacks.attack import Attack
from tests.attacks.attacker import Attacker
from tests.support.servers import answering

_FETCHES = """
for (let i = 0; i < 20; i++)
  await fetch(inputs.address + '?' + i + 'aB3/'.repeat(2e5), { headers: { x: 'aB3/'.repeat(2e4) } }).catch(() => {});
return [];
"""


def _hidden(name: str, code: str, secrets: dict[str, str], *, short: bool = False, **more: Any) -> Attack:
    async def run(attacker: Attacker) -> None:
        page = attacker.serve(answering(200, b"aB3/" * 100_000, *((f"x-{n}", "aB3/" * 200) for n in range(80))))
        await attacker.run(code, secrets=secrets, inputs={"address": page, **more})

    return Attack(f"secrets: {name}", "H4", run, short=short)


def _many(count: int, length: int = 8) -> dict[str, str]:
    return {f"s{n}": f"{n:0{length}d}" for n in range(count)}


_LINES = "for (let i = 0; i < 100; i++) console.log('0000'.repeat(600)); return [];"

ATTACKS = (
    _hidden("one of 8 KB, and 100,000 strings", "return [Array(1e5).fill('aaaaaaa')];", {"s": "a" * 8192}, short=True),
    _hidden("one of 8 KB, and one string of 1 MB", "return ['a'.repeat(1e6)];", {"s": "a" * 8191 + "b"}),
    _hidden("4,000, and 100 lines of console", _LINES, _many(4000), short=True),
    _hidden("4,000 of 400 characters, and 100 lines", _LINES, _many(4000, 400)),
    _hidden("5,000, and nothing to hide", "return [];", _many(5000)),
    _hidden("1,000, and 10,000 strings", "return [Array(1e4).fill('00000')];", _many(1000)),
    _hidden(
        "1,000, and 10,000 keys",
        "return [Object.fromEntries(Array.from({length: 1e4}, (_, i) => [i, 1]))];",
        _many(1000),
    ),
    _hidden("each the beginning of the next", "return ['a'.repeat(1e6)];", {f"s{n}": "a" * n for n in range(1, 1000)}),
    _hidden("letters", "return ['abcdefghij'.repeat(1e5)];", {letter: letter for letter in "abcdefghijklmnopqrst"}),
    _hidden(
        "characters that every form escapes",
        "return [inputs.text.repeat(1e4)];",
        {"s": '"\\\U0001f600\n%&' * 1000},
        text='"\\\U0001f600\n%&',
    ),
    _hidden("one, and 20 long addresses and headers", _FETCHES, {"s": "aB3/" * 2000}),
    _hidden("1,000, and 20 long addresses and headers", _FETCHES, _many(1000)),
    _hidden("one, and an error of 1 MB", "throw new Error('a'.repeat(1e6));", {"s": "a" * 8192}),
)
