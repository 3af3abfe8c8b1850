"""`serve --demo` fires every kind of trigger within a minute, and `events tail` shows the deliveries."""

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.process import Client, Service
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def demo() -> AsyncIterator[Service]:
    with tempfile.TemporaryDirectory(prefix="hairtrigger-e2e-") as made:
        folder = Path(made)
        folder.chmod(0o711)
        running = Service(folder)
        await running.start("--demo")
        yield running
        await running.stop()


async def test_each_sample_trigger_fires_within_a_minute_and_can_be_watched(demo: Service) -> None:
    types = {"schedule.on_schedule", "github.on_issue_opened", "demo-tracker.new-issue-created"}

    async def delivered() -> bool:
        return types <= set(re.findall(r"delivered +(\S+)", await _tail(demo)))

    await until(delivered)
    assert "workflow started" in demo.output
    client = Client(demo, demo.api_key)
    for trigger in (await client.ask("GET", "/v1/project-triggers"))["data"]:
        assert "The trigger is healthy since" in await _hairtrigger(demo, "explain", trigger["id"], "--demo")
    await client.close()

    await demo.stop()
    demo.port = 0  # the sample triggers were made for another address
    before = len(demo.output)
    await demo.start("--demo")
    await until(lambda: _true("workflow started" in demo.output[before:]))
    assert "was refused" not in demo.output


async def _true(value: bool) -> bool:
    return value


async def _tail(demo: Service) -> str:
    return await _hairtrigger(demo, "events", "tail", "--demo", "--no-follow", "--count", "200")


async def _hairtrigger(demo: Service, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from hairtrigger.cli import main; main()"),
        *arguments,
        env={"PATH": os.environ["PATH"], "HAIRTRIGGER_DATA_DIR": str(demo.folder / "data")},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return output.decode()
