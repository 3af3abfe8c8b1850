"""Call the provider files of listening triggers. Their client libraries connect through a socket door."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from hairtrigger.domain.errors import CredentialsRefused, HairtriggerError, ProviderFailed
from hairtrigger.kit.trigger import Listening, Page, Question
from hairtrigger.platform.sockets import Door

T = TypeVar("T")

_UNREACHED = "The address could not be reached."
_CLOSING = timedelta(seconds=5)  # for a client library to say goodbye
_MOST_SAID = 300  # characters of a client library's error
_LEAST_SECRET = 4  # characters: shorter ones would hide parts of common words


@dataclass
class Source:
    """The source of one listening trigger, for one connection to it."""

    definition: Listening[Any]
    question: Question[Any]
    door: Door
    _pages: AsyncGenerator[Page, None] | None = field(default=None, init=False)

    @classmethod
    def of(cls, definition: Listening[Any], question: Question[Any], door: Door, trigger_id: UUID) -> "Source":
        return cls(definition, replace(question, trigger=str(trigger_id), tls=door.tls), door)

    async def start(self, within: timedelta) -> Mapping[str, Any]:
        """Return the cursor at which the trigger begins. Raise `ProviderFailed` if the source does not say it."""
        return await self._asked(self.definition.start, within)

    async def samples(self, within: timedelta) -> Sequence[Any]:
        """Return a few example events. Raise `ProviderFailed` if the source does not give them."""
        return await self._asked(self._samples, within)

    async def _samples(self, question: Question[Any]) -> Sequence[Any]:
        return await self.definition.samples(question) if self.definition.samples else ()

    async def _asked(self, ask: Callable[[Question[Any]], Coroutine[Any, Any, T]], within: timedelta) -> T:
        try:
            async with self._reached():
                return await _within(ask(self.question), within)
        except _Late as error:
            raise ProviderFailed(f"The source took longer than {within.total_seconds():g} seconds.") from error
        finally:
            self.door.close()

    async def next(self) -> Page | None:
        """Acknowledge the page before, and return the next one, or None if the source has ended the connection.

        Raise `TimeoutError` if nothing comes for as long as the definition allows.
        """
        pages = self._pages = self._pages or self.definition.listen(self.question)
        self.door.received = 0
        try:
            async with self._reached():
                return await _within(_next(pages), self.definition.silence)
        except _Late as late:
            raise TimeoutError from late

    async def close(self) -> None:
        """End the connection. What was not acknowledged comes again."""
        try:
            with suppress(Exception), self.door.guarding():
                if self._pages:
                    await _within(_closed(self._pages), _CLOSING)
        finally:
            self.door.close()

    @asynccontextmanager
    async def _reached(self) -> AsyncIterator[None]:
        try:
            with self.door.guarding():
                yield
        except HairtriggerError:
            raise
        except self.definition.refusals as error:
            raise CredentialsRefused(f"The source refused the connection: {self._said(error)}") from error
        except Exception as error:
            if not isinstance(error, (OSError, EOFError, *self.definition.errors)):
                raise
            raise ProviderFailed(await self._why(error)) from error

    async def _why(self, error: Exception) -> str:
        """Return what may be told of an error. That of the door hides what would show our network."""
        if self.door.failure:
            return await self.door.told() or _UNREACHED
        return f"The connection failed: {self._said(error)}"

    def _said(self, error: Exception) -> str:
        """Return the words of a client library's error, without secrets of the connection."""
        said = " ".join(str(error).split())[:_MOST_SAID] or type(error).__name__
        for secret in self.question.secrets.values():
            if len(secret) >= _LEAST_SECRET:
                said = said.replace(secret, "***")
        return said if said.endswith(".") else f"{said}."


class _Late(Exception):
    """A provider file did not end in time."""


async def _next(pages: AsyncGenerator[Page, None]) -> Page | None:
    return await anext(pages, None)


async def _closed(pages: AsyncGenerator[Page, None]) -> None:
    await pages.aclose()


async def _within(work: Coroutine[Any, Any, T], time: timedelta) -> T:
    """Return the result of work of a provider file. Raise `_Late` if it takes longer.

    Some client libraries swallow a cancellation. The work is given up then, so that no listener waits for it for ever.
    """
    task = asyncio.create_task(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=time.total_seconds())
        if done:
            return task.result()
        raise _Late
    finally:
        if not task.done():
            task.add_done_callback(_seen)
            task.cancel()
            await asyncio.wait({task}, timeout=_CLOSING.total_seconds())


def _seen(task: asyncio.Task[Any]) -> None:
    """Mark the error of a task as seen, because its caller has gone."""
    if not task.cancelled():
        task.exception()
