"""The short form of `./dev poe attacks`."""

import sys

import pytest

from tests.attacks.corpus import ATTACKS
from tests.attacks.corpus.calm import AFTERWARDS, WARMING_UP
from tests.attacks.stage import staged

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="memory and time without a core are found in Linux' /proc"),
]


async def test_what_strangers_send_neither_stops_the_service_nor_harms_a_neighbour() -> None:
    """All attacks hit the same service. Events that the victim misses are looked for only after the last attack."""
    async with staged() as stage:
        print((await stage.strike(WARMING_UP)).line())
        verdicts = [await stage.strike(one, thoroughly=False) for one in ATTACKS if one.short]
        verdicts.append(await stage.strike(AFTERWARDS))
    print(*(one.line() for one in verdicts), sep="\n")
    broken = [f"{one.attack.name}: {each.words}" for one in verdicts for each in one.findings]
    assert not broken, "\n".join(broken)


def test_every_attack_has_a_name_of_its_own() -> None:
    names = [attack.name for attack in ATTACKS]
    assert len(names) == len(set(names))
