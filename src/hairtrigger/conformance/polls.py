"""Rules for polls: nothing that happens is lost, and nothing becomes two events, whatever happens at the provider.

`Ledger` stores what polls bring as the service does: the events of a page and its cursor together, each key once.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from hairtrigger.conformance.asking import NOW
from hairtrigger.conformance.fakes import Fake
from hairtrigger.conformance.subjects import Broken, Subject, require
from hairtrigger.domain.errors import CredentialsRefused, ProviderFailed
from hairtrigger.domain.event import Draft
from hairtrigger.kit.trigger import Cursor, Polling

_MOST_PAGES = 200
_WAIT = timedelta(seconds=30)


@dataclass
class Ledger:
    subject: Subject
    trigger: Polling[Any]
    fake: Fake
    now: datetime = NOW
    cursor: Cursor | None = None
    config: dict[str, Any] = field(default_factory=dict)
    happened: list[str] = field(default_factory=list)
    stored: dict[str, Draft] = field(default_factory=dict)

    @classmethod
    async def begun(cls, subject: Subject, trigger: Polling[Any]) -> "Ledger":
        """Return a ledger of a trigger that is enabled after a first thing happened, which is none of its events."""
        fake = subject.made()
        ledger = cls(subject, trigger, fake, config=dict(subject.config(trigger)))
        if trigger.baseline:
            await fake.happen(trigger.id, NOW - trigger.every)
        await ledger.poll()
        require(not ledger.stored, "A thing from before the trigger was enabled became an event.")
        return ledger

    async def happens(self, *after: timedelta) -> list[str]:
        """Make a thing happen at each of these times from now on, and let the time until the next poll pass."""
        keys = [await self.fake.happen(self.trigger.id, self.now + one) for one in after or (timedelta(),)]
        self.happened += keys
        return keys

    async def poll(self, *, dies_after: int | None = None, refused: bool = False) -> None:
        """Poll as the service does. If the process `dies_after` so many pages, the page after them is not stored."""
        self.now += self.trigger.every
        silent = self.cursor is None and self.trigger.baseline
        cursor = self.cursor
        for number in range(_MOST_PAGES):
            asked = self.subject.question(
                *(self.trigger, self.fake),
                cursor=cursor,
                at=self.now,
                known=self._known,
                refused=refused,
                config=self.config,
            )
            page = await self.trigger.poll(asked)
            if dies_after == number:
                return
            cursor = json.loads(json.dumps(dict(page.cursor)))
            if not silent:
                self._store(page.events)
                self.cursor = cursor
            if not page.more:
                self.cursor = cursor
                return
        raise Broken(f"The poll has more than {_MOST_PAGES} pages.")

    async def settle(self) -> None:
        """Poll until all is quiet, and require that each thing that happened is one event."""
        for _ in range(3):
            await self.poll()
        lost = [key for key in self.happened if key not in self.stored]
        require(not lost, f"Lost: {lost} of {self.happened}.")
        doubled = [key for key in self.stored if key not in self.happened]
        require(not doubled, f"Events that did not happen, or a second time: {doubled}. There were {self.happened}.")

    def _store(self, events: Sequence[Draft]) -> None:
        for one in events:
            require(one.key, "An event has an empty key.")
            self.stored.setdefault(one.key, one)

    async def _known(self, keys: Sequence[str]) -> Collection[str]:
        return [key for key in keys if key in self.stored]


async def brings_what_happened_in_order(subject: Subject, trigger: Polling[Any]) -> None:
    ledger = await Ledger.begun(subject, trigger)
    await ledger.happens(*(timedelta(seconds=second) for second in range(3)))
    await ledger.poll()
    require(list(ledger.stored) == ledger.happened, f"The events came as {list(ledger.stored)}.")
    await ledger.settle()


async def brings_things_of_one_instant(subject: Subject, trigger: Polling[Any]) -> None:
    ledger = await Ledger.begun(subject, trigger)
    at = ledger.now
    await ledger.happens(timedelta(), timedelta(), timedelta())
    await ledger.poll()
    ledger.happened.append(await ledger.fake.happen(trigger.id, at))
    await ledger.settle()


async def brings_what_is_dated_earlier(subject: Subject, trigger: Polling[Any]) -> None:
    ledger = await Ledger.begun(subject, trigger)
    for _ in range(2):
        await ledger.happens(trigger.every)  # dated when the poll asks
        await ledger.poll()
        early = ledger.now - ledger.fake.late + timedelta(seconds=1)
        ledger.happened.append(await ledger.fake.happen(trigger.id, max(early, NOW)))
        await ledger.poll()
    await ledger.settle()


async def goes_on_after_the_newest_is_deleted(subject: Subject, trigger: Polling[Any]) -> None:
    ledger = await Ledger.begun(subject, trigger)
    _, newest = await ledger.happens(timedelta(), timedelta(seconds=1))
    await ledger.poll()
    ledger.fake.remove(newest)
    await ledger.poll()
    await ledger.happens()
    await ledger.settle()


async def reads_all_pages(subject: Subject, trigger: Polling[Any]) -> None:
    if not subject.made().paged:
        return
    ledger = await Ledger.begun(subject, trigger)
    ledger.fake.page = 2
    await ledger.happens(*(timedelta(seconds=second) for second in range(7)))
    before = len(ledger.fake.asked)
    await ledger.poll()
    require(len(ledger.fake.asked) - before > 1, "The fake has pages of 2 things, and 7 were asked for by one request.")
    require(len(ledger.stored) == 7, f"One poll brought {len(ledger.stored)} of 7 things that stand on several pages.")
    await ledger.settle()


async def brings_what_happens_meanwhile(subject: Subject, trigger: Polling[Any]) -> None:
    """More things happen while the pages of a poll are read."""
    ledger = await Ledger.begun(subject, trigger)
    ledger.fake.page = 2
    await ledger.happens(*(timedelta(seconds=second) for second in range(5)))
    left = [timedelta(seconds=30), timedelta(seconds=31), timedelta(seconds=31)]

    async def more() -> None:
        if left:
            ledger.happened.append(await ledger.fake.happen(trigger.id, ledger.now + left.pop(0)))

    ledger.fake.between = more
    await ledger.poll()
    await ledger.settle()


async def loses_nothing_when_a_request_fails(subject: Subject, trigger: Polling[Any]) -> None:
    """Each request of a poll fails in turn: the provider is broken, asks to wait, or answers what is not its own."""
    ledger = await Ledger.begun(subject, trigger)
    ledger.fake.page = 2
    for number in range(4):
        for status, headers, body in (
            (500, {}, b""),
            (429, {"retry-after": str(int(_WAIT.total_seconds()))}, b""),
            (200, {"content-type": "text/html"}, b"<html>We are being repaired</html>"),
        ):
            await ledger.happens(*(timedelta(seconds=second) for second in range(3)))
            before = len(ledger.fake.asked)
            ledger.fake.fail(status, headers, body, skip=number)
            try:
                await ledger.poll()
            except ProviderFailed as error:
                wait = error.retry_after
                asked_to_wait = status == HTTPStatus.TOO_MANY_REQUESTS
                require(
                    not asked_to_wait or wait == _WAIT, f"The provider asked to wait for {_WAIT}, and {wait} was heard."
                )
            else:
                require(
                    len(ledger.fake.asked) - before <= number or status == 200,
                    f"A poll whose request failed with {status} did not say so.",
                )
            ledger.fake.heal()
            await ledger.poll()
    await ledger.settle()


async def says_that_credentials_are_refused(subject: Subject, trigger: Polling[Any]) -> None:
    if not subject.provider.auth.secrets or not trigger.needs_connection:
        return
    ledger = await Ledger.begun(subject, trigger)
    await ledger.happens()
    try:
        await ledger.poll(refused=True)
    except CredentialsRefused:
        await ledger.settle()
        return
    require(False, "A poll with wrong credentials does not say that they are refused.")


async def takes_the_provider_s_clock(subject: Subject, trigger: Polling[Any]) -> None:
    """The provider's clock is ahead of ours, and then behind it, by as much as things may be late."""
    for skew in (subject.made().late, timedelta(seconds=1) - subject.made().late):
        ledger = await Ledger.begun(subject, trigger)
        for _ in range(3):
            ledger.happened.append(await ledger.fake.happen(trigger.id, max(NOW, ledger.now + skew)))
            await ledger.poll()
        await ledger.settle()


async def keeps_its_place_when_it_is_edited(subject: Subject, trigger: Polling[Any]) -> None:
    ledger = await Ledger.begun(subject, trigger)
    await ledger.happens()
    await ledger.poll()
    await ledger.happens()
    ledger.config["polling_frequency"] = 600
    await ledger.settle()


async def brings_the_same_after_a_crash(subject: Subject, trigger: Polling[Any]) -> None:
    """The process dies before the commit of a page, the first or a later one."""
    for pages in range(3):
        ledger = await Ledger.begun(subject, trigger)
        ledger.fake.page = 2
        await ledger.happens(*(timedelta(seconds=second) for second in range(5)))
        for _ in range(2):
            await ledger.poll(dies_after=pages)
        await ledger.happens()
        await ledger.settle()


async def keeps_a_small_cursor(subject: Subject, trigger: Polling[Any]) -> None:
    ledger = await Ledger.begun(subject, trigger)
    for number in range(3):
        await ledger.happens(*(timedelta(seconds=second) for second in range(40)))
        await ledger.poll()
        size = len(json.dumps(dict(ledger.cursor or {})))
        require(size < 64_000, f"The cursor has {size} characters after {40 * (number + 1)} things.")


RULES = (
    brings_what_happened_in_order,
    brings_things_of_one_instant,
    brings_what_is_dated_earlier,
    goes_on_after_the_newest_is_deleted,
    reads_all_pages,
    brings_what_happens_meanwhile,
    loses_nothing_when_a_request_fails,
    says_that_credentials_are_refused,
    takes_the_provider_s_clock,
    keeps_its_place_when_it_is_edited,
    brings_the_same_after_a_crash,
    keeps_a_small_cursor,
)
