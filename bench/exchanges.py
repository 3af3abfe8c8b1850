"""The floor of polls: the same provider file and the same client ask for the same feeds, and nothing is stored.

`python -m bench.exchanges URL PLACES SECONDS` prints the exchanges a second and the CPU seconds of one exchange.
"""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any
from uuid import uuid4

from hairtrigger.kit.http import Api
from hairtrigger.kit.trigger import Polling, Question
from hairtrigger.platform.egress import Egress, EgressPolicy
from hairtrigger.providers.rss import provider
from hairtrigger.serving import loop
from tests.providers.asking import parsed_here

CURSOR: dict[str, Any] = {"etag": '"0"', "modified": None, "seen": []}


async def exchanges(url: str, places: int, seconds: float) -> dict[str, float]:
    definition = provider.trigger("on_item_published")
    assert isinstance(definition, Polling)
    end, done = time.monotonic() + seconds, 0

    async def ask(egress: Egress) -> None:
        nonlocal done
        while time.monotonic() < end:
            now = datetime.now(UTC)
            config = definition.config.model_validate({"url": f"{url}/feed/{uuid4()}"})
            await definition.poll(Question(config, Api(egress, ""), {}, CURSOR, now, now, parsed_here))
            done += 1

    async with Egress(EgressPolicy((ip_network("127.0.0.0/8"),))) as egress, asyncio.TaskGroup() as tasks:
        for _ in range(places):
            tasks.create_task(ask(egress))
    return {"per_second": done / seconds, "cpu_seconds": time.process_time() / done}


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop()) as runner:
        print(json.dumps(runner.run(exchanges(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))))
