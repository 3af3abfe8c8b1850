"""A provider whose items have equal dates, appear late and vanish again, and which answers only when it is told to."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hairtrigger.domain.event import Draft
from hairtrigger.kit.auth import Bearer
from hairtrigger.kit.cursor import LookBack
from hairtrigger.kit.trigger import Page, Polling, PollingConfig, Provider, Question

TICK = timedelta(seconds=10)  # dates are rounded down to a multiple of this
LATEST = timedelta(seconds=40)  # a new item appears after at most this time
CLOCKS = timedelta(seconds=40)  # the service's clock is wrong by at most this time
PAGE = 2
_LATE = LookBack(TICK + LATEST + 2 * CLOCKS)


@dataclass(frozen=True)
class Item:
    name: str
    dated: datetime
    appears: datetime


class Feed(PollingConfig):
    feed: str


@dataclass
class Asked:
    """A question under way. It ends when `answer` is set: to None for the items there are, or to an error."""

    question: Question[Feed]
    answer: "asyncio.Future[Exception | None]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


@dataclass
class Feeds:
    true_time: Callable[[], datetime]
    items: dict[str, list[Item]] = field(default_factory=dict)
    asked: dict[asyncio.Task[object], Asked] = field(default_factory=dict)
    at_once: bool = False

    async def poll(self, question: Question[Feed]) -> Page:
        if not self.at_once:
            task = asyncio.current_task()
            assert task
            asked = self.asked[task] = Asked(question)
            if error := await asked.answer:
                raise error
        look = _LATE.look(question)
        there = sorted(
            (item.dated.isoformat(), item.name)
            for item in self.items[question.config.feed]
            if item.appears <= self.true_time() and item.dated >= look.since
        )
        left = [one for one in there if list(one) > (look.token or [])]
        drafts = [Draft(key=name, data=b"{}", occurred_at=datetime.fromisoformat(dated)) for dated, name in left[:PAGE]]
        return look.page(drafts, list(left[PAGE - 1]) if len(left) > PAGE else None)

    def provider(self) -> Provider:
        poll = Polling(id="on_item", name="Item", description="", config=Feed, poll=self.poll)
        return Provider(id="feeds", name="Feeds", auth=Bearer("token"), triggers=(poll,))
