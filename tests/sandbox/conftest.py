from collections.abc import AsyncIterator

import pytest

from hairtrigger.sandbox.host import Sandbox


@pytest.fixture(scope="session")
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox.start(workers=2) as started:
        yield started
