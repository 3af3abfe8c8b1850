"""A provider of numbered items, which it lists by pages. Several items share a time, and some are visible late."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from tests.support.servers import Seen, response, serving

EVERY = timedelta(milliseconds=200)
TIES = 4  # items that share a time
PAGE = 100
LATE = timedelta(seconds=2)  # every seventh item is visible only after this time

# Code that a user would write. It asks for all pages since the last poll and for ten seconds more, because items may
# turn up late.
POLLING_CODE = """
const since = new Date(Date.parse(lastPollTime) - 10000).toISOString();
const found = [];
for (let page = 1; page; ) {
  const response = await fetch(inputs.address + '?page=' + page + '&since=' + since);
  if (!response.ok) throw new Error('Refused: ' + response.status);
  const answer = await response.json();
  found.push(...answer.items);
  page = answer.next;
}
return found;
"""


@dataclass(frozen=True)
class Item:
    number: int
    created_at: datetime

    @property
    def key(self) -> str:
        return f"item-{self.number}"

    def visible(self, now: datetime) -> bool:
        return now >= self.created_at + (LATE if self.number % 7 == 0 else timedelta())


@dataclass
class Provider:
    url: str = ""
    items: list[Item] = field(default_factory=list)
    asked: int = 0

    async def publish(self) -> None:
        """Make items until cancelled."""
        number = 0
        while True:
            number += 1
            now = datetime.now(UTC)
            tied = self.items and (number - 1) % TIES
            self.items.append(Item(number, self.items[-1].created_at if tied else now))
            await asyncio.sleep(EVERY.total_seconds())

    async def answer(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        query = parse_qs(urlsplit(seen.path).query)
        since, page = datetime.fromisoformat(query["since"][0]), int(query["page"][0])
        now = datetime.now(UTC)
        found = [item for item in self.items if item.created_at >= since and item.visible(now)]
        shown = found[(page - 1) * PAGE : page * PAGE]
        answer = {
            "items": [{"id": item.key, "createdAt": item.created_at.isoformat()} for item in shown],
            "next": page + 1 if len(found) > page * PAGE else 0,
        }
        writer.write(response(200, json.dumps(answer).encode(), ("Content-Type", "application/json")))


@asynccontextmanager
async def providing() -> AsyncIterator[Provider]:
    provider = Provider()
    async with serving(provider.answer) as server:
        provider.url = server.url
        yield provider
