"""Parse foreign bytes into records, for one organisation. The parser runs in a process with limits of its own."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from hairtrigger.domain.errors import ParseKilled, ProviderFailed
from hairtrigger.kit.parsing import Parser
from hairtrigger.platform.parsers import Parsers

T = TypeVar("T")

_MEBIBYTE = 1024 * 1024
_LONGEST = 4 * _MEBIBYTE  # bytes of the largest record: the event loop waits while one is read
_SLICE = 64 * 1024  # bytes of records that are read before the event loop may go on
_RECORD = 256  # added to the bytes of each record, because a short one takes time as well


@dataclass(frozen=True)
class Parsing:
    parsers: Parsers
    tenant: str

    async def __call__(self, parser: Parser[T], data: bytes, **hints: str) -> AsyncIterator[T]:
        name = f"{parser.read.__module__}:{parser.read.__qualname__}"
        said = await self.parsers.parse(self.tenant, name, data, hints)
        cost = 0
        for line in _lines(said):
            if len(line) > _LONGEST:
                raise ParseKilled(f"What came as the answer has a part of more than {_LONGEST // _MEBIBYTE} MB.")
            try:
                record = parser.shape.validate_json(line)
            except ValidationError as error:
                raise ProviderFailed("What came as the answer could not be read.") from error
            yield record
            cost += len(line) + _RECORD
            if cost > _SLICE:
                cost = 0
                await asyncio.sleep(0)


def _lines(said: bytes) -> Iterator[bytes]:
    begin = 0
    while (end := said.find(b"\n", begin)) >= 0:
        yield said[begin:end]
        begin = end + 1
