"""Attack the service as strangers and organisations can; report its cost and the harm to another organisation."""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.attacks.attack import Attack
from tests.attacks.corpus import ATTACKS
from tests.attacks.corpus.calm import WARMING_UP
from tests.attacks.stage import Verdict, staged

_CASE = 2  # the longest name of a case, in characters


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.attacks", description=__doc__)
    parser.add_argument(
        "words",
        nargs="*",
        help="only attacks of one of these cases, or with one of these words in their name; all by default",
    )
    parser.add_argument("--short", action="store_true", help="only those that CI runs")
    parser.add_argument("--list", action="store_true", help="say which attacks there are")
    parser.add_argument("--json", type=Path, help="keep the figures in this file")
    parser.add_argument("--where", type=Path, help="write to this file where each thread was during a long pause")
    given = parser.parse_args()
    chosen = [one for one in ATTACKS if _is_wanted(one, given.words) and (one.short or not given.short)]
    if given.list:
        print(*(f"{one.case:4} {one.name}{' (short form)' if one.short else ''}" for one in chosen), sep="\n")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # no process is left running
    verdicts = asyncio.run(_struck(chosen, given.where))
    if given.json:
        figures = {one.attack.name: one.figures() for one in verdicts}
        given.json.write_text(json.dumps(figures, indent=1) + "\n")
    broken = sum(bool(one.findings) for one in verdicts)
    print(f"{len(verdicts)} attacks, {broken} of them broke a limit or did harm")
    return int(broken > 0)


async def _struck(attacks: Sequence[Attack], where: Path | None = None) -> list[Verdict]:
    """Run the attacks and return their verdicts; print each verdict as soon as it is known."""
    verdicts = []
    async with staged(where) as stage:
        print((await stage.strike(WARMING_UP)).line(), flush=True)
        for attack in attacks:
            verdicts.append(await stage.strike(attack))
            print(verdicts[-1].line(), flush=True)
    return verdicts


def _is_wanted(attack: Attack, words: Sequence[str]) -> bool:
    named = (word.lower() in attack.name.lower() for word in words if len(word) > _CASE)
    return not words or attack.case in words or any(named)


if __name__ == "__main__":
    sys.exit(main())
