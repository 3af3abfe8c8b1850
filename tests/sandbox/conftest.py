from collections.abc import AsyncIterator

import pytest

from hairtrigger.sandbox.service.sandbox import Sandbox
from tests.sandbox.beats import beats

__all__ = ["beats"]


@pytest.fixture(scope="session")
async def compiled() -> bytes:
    return await Sandbox.compiled()


@pytest.fixture(scope="session")
async def sandbox(compiled: bytes) -> AsyncIterator[Sandbox]:
    async with Sandbox.start(workers=2, compiled=compiled) as started:
        yield started
