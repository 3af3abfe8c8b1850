"""Present the integrations of users as providers. Their triggers poll by running polling code in the sandbox."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from pydantic_core import to_json

from hairtrigger.domain.errors import PollFailed
from hairtrigger.domain.event import Draft, bounded_key, digest
from hairtrigger.domain.instants import instant
from hairtrigger.kit.auth import NoAuth
from hairtrigger.kit.trigger import Page, Polling, PollingConfig, Provider, Question
from hairtrigger.platform.egress import Egress, EgressFailed, Reason
from hairtrigger.platform.shares import Tenant
from hairtrigger.sandbox.protocol.poll import (
    Fetch,
    FetchFailed,
    HttpRequest,
    HttpResponse,
    Outcome,
    PollError,
    PollErrorKind,
    Program,
    ResponseTooLarge,
    place,
)
from hairtrigger.sandbox.service.redaction import Redaction
from hairtrigger.sandbox.service.sandbox import Sandbox
from hairtrigger.sandbox.service.slices import Work, in_slices
from hairtrigger.services.catalogue import Owned
from hairtrigger.services.setup.integrations import config_model, inputs_of, passwords_of, slug_of
from hairtrigger.store.explain.streaks import FRUITLESS
from hairtrigger.store.setup import integrations
from hairtrigger.store.setup.integrations import Integration, IntegrationTrigger, WithTriggers
from hairtrigger.store.transaction import Transaction

NO_CODE = "The trigger has no polling code, so it never fires."
_LAST = "last_poll_time"  # in the cursor, like the next two
_ANSWERED = "answered"  # how often each item without an id was in the last answer
_PART = "part"  # of an answer that is too large to be taken at once
_MOST_PARTS = 10  # of one poll
_MOST_TOLD = 3  # requests, and lines of the console, that the outcome of an empty poll names
_LONGEST_TOLD = 200  # characters of each
_INEXACT = 2**53
_IN_PARTS = {
    PollErrorKind.TOO_MANY_RESULTS: " They are taken in parts if all have ids; without ids they cannot be told apart.",
    PollErrorKind.RESULT_TOO_LARGE: " More is taken in parts if each event has an id and is small enough by itself.",
}


@dataclass(frozen=True)
class UserTriggers:
    sandbox: Sandbox
    egress: Egress
    fetch_deadline: timedelta = timedelta(seconds=20)
    public_url: str = ""

    async def providers(self, tx: Transaction, wanted: Collection[Owned]) -> dict[Owned, Provider]:
        """Return those of the wanted integrations that exist, as providers.

        An integration of another organisation is left out.
        """
        found = await integrations.with_triggers(tx, wanted)
        return {(one.integration.org_id, one.integration.id): self._provider(one) for one in found}

    def _provider(self, found: WithTriggers) -> Provider:
        integration = found.integration
        required = tuple(field.slug for field in integration.auth_fields if field.required)
        return Provider(
            id=str(integration.id),
            name=integration.name,
            icon=integration.icon_url or (self._image_url(integration) if found.has_image else ""),
            auth=NoAuth(required),  # polling code sends the secrets itself
            labels={field.slug: field.label for field in integration.auth_fields},
            triggers=tuple(self._trigger(integration, one) for one in found.triggers),
        )

    def _image_url(self, integration: Integration) -> str:
        """Return the address of the image that was uploaded as the icon. Reading it needs an API key."""
        return f"{self.public_url}/integrations/v1/{integration.id}/icon/image"

    def _trigger(self, integration: Integration, stored: IntegrationTrigger) -> Polling[Any]:
        async def poll(question: Question[PollingConfig]) -> Page:
            if stored.polling_code is None:
                raise PollFailed(NO_CODE)
            fields, config = stored.input_fields, question.config
            program = Program(
                code=stored.polling_code,
                inputs=inputs_of(fields, config),
                secrets=question.secrets,
                last_poll_time=_last_poll(question),
                hidden=passwords_of(fields, config),
                tenant=str(integration.org_id),
                project=question.project,
            )
            page = await self._page(program, question)
            return replace(page, events=[replace(one, type=event_type(integration, stored)) for one in page.events])

        return Polling(
            id=stored.slug,
            name=stored.name,
            description=stored.description,
            config=config_model(stored.input_fields),
            poll=poll,
            baseline=False,  # the code is told from which time on to look
            lacks=NO_CODE if stored.polling_code is None else "",
        )

    async def _page(self, program: Program, question: Question[PollingConfig]) -> Page:
        tenant = Tenant(program.tenant, program.project)
        made: list[tuple[HttpRequest, int | None]] = []  # with the status of the answer

        async def fetch(request: HttpRequest) -> HttpResponse:
            ended, status = question.watch(request.method, request.url), None
            try:
                response = await self.fetch(tenant, request)
                status = response.status
            finally:
                ended(status)
                made.append((request, status))
            question.api.quota.note(response.status, response.headers)
            return response

        outcome = await self._run(program, fetch)
        if outcome.rest:
            outcome = await self._unseen(program, fetch, outcome, question)
        found = await in_slices(answer_of(outcome.value, question.cursor, _last_poll(question)))
        if found.refused and not found.drafts and not found.repeats:
            raise PollFailed(found.refusal, outcome.console)
        cursor, more, note = self._goes_on(question, outcome, found)
        if not outcome.value:
            if made and all(status is None or status >= 400 for _, status in made):
                cursor[FRUITLESS] = (question.cursor or {}).get(FRUITLESS, 0) + 1
            note = await _summary(made, Redaction((*program.secrets.values(), *program.hidden)), outcome.console)
        return Page(
            found.drafts,
            cursor,
            more=more,
            note=" ".join(filter(None, (found.refusal, note))),
            console=outcome.console,
            repeats=found.repeats,
            refused=found.refused,
        )

    async def _run(self, program: Program, fetch: Fetch) -> Outcome:
        try:
            return await self.sandbox.run(program, fetch)
        except PollError as error:
            said = f"{error.name}: {error.message}{place(error.line, error.column)}{_IN_PARTS.get(error.kind, '')}"
            raise PollFailed(said, error.console, error.kind) from error

    async def _unseen(self, program: Program, fetch: Fetch, outcome: Outcome, question: Question[Any]) -> Outcome:
        """Run the code again without those of its items whose events are stored already, and return the outcome.

        If none of these events is stored, return `outcome` as it is.
        """
        ids = {id_: bounded_key(id_) for id_ in (*_ids(outcome.value), *outcome.rest)}
        known = set(await question.known(list(ids.values())))
        skip = tuple(id_ for id_, key in ids.items() if key in known)
        return await self._run(replace(program, skip=skip), fetch) if skip else outcome

    def _goes_on(self, question: Question[Any], outcome: Outcome, found: "Answer") -> tuple[dict[str, Any], bool, str]:
        """Return the next cursor, whether another part of the poll follows at once, and a note for its outcome.

        While there are items that did not fit, the time of the last poll stays, so that the code returns them again.
        """
        before = question.cursor or {_LAST: question.enabled_at.isoformat()}
        if not outcome.rest:
            # The start of this poll is stored, so that the next poll finds what happened since.
            cursor: dict[str, Any] = {_LAST: question.asked_at.isoformat()}
            if found.without_id or _ANSWERED in before:
                cursor |= {_ANSWERED: found.answered}
            return cursor, False, ""
        part = before.get(_PART, 0) + 1
        kept = {key: value for key, value in before.items() if key != _PART}
        if part < _MOST_PARTS:
            return {**kept, _PART: part}, True, ""
        note = f"There were more events than the poll took in {_MOST_PARTS} parts. The next poll goes on."
        return kept, False, note

    async def fetch(self, tenant: Tenant, request: HttpRequest) -> HttpResponse:
        try:
            reply = await self.egress.of(tenant).send(
                request.method,
                request.url,
                headers=request.headers,
                body=request.body,
                redirects=request.redirect,
                timeout=self.fetch_deadline,
                max_bytes=self.sandbox.limits.response_bytes,
            )
        except EgressFailed as error:
            if error.reason is Reason.TOO_LARGE:
                raise ResponseTooLarge(error.reason, error.cost) from error
            raise FetchFailed(error.reason, error.cost, error.told) from error
        return HttpResponse(
            reply.status, reply.reason, reply.url, reply.redirected, reply.headers, reply.body, reply.cost
        )


async def _summary(made: Sequence[tuple[HttpRequest, int | None]], redaction: Redaction, console: Sequence[str]) -> str:
    """Return a short account of a poll that found nothing, with the first requests of its code and the first console
    lines.
    """
    parts = []
    if made:
        told = []
        for request, status in made[:_MOST_TOLD]:
            address = await in_slices(redaction.shown(request.url.partition("?")[0], _LONGEST_TOLD, cut=False))
            told.append(f"{request.method[:16]} {address} {f'answered {status}' if status else 'failed'}")
        more = f", and {len(made) - len(told)} more" if len(made) > len(told) else ""
        count = "1 request" if len(made) == 1 else f"{len(made)} requests"
        parts.append(f"Its code made {count}: {', '.join(told)}{more}.")
    if console:
        parts.append(f"Console: {' | '.join(line[:_LONGEST_TOLD] for line in console[:_MOST_TOLD])}")
    return " ".join(parts)


@dataclass
class Answer:
    """The events of the items that code returned.

    `repeats` counts items without an id that the answer before had, and `refused` items that make no event. `answered`
    counts the items without an id by the digests of their contents.
    """

    drafts: list[Draft] = field(default_factory=list)
    repeats: int = 0
    refused: int = 0
    example: str = ""  # an id for which an item was refused
    answered: dict[str, int] = field(default_factory=dict)

    @property
    def without_id(self) -> int:
        return sum(self.answered.values())

    @property
    def refusal(self) -> str:
        if not self.refused:
            return ""
        return (
            f"{self.refused} items were refused: their ids are numbers of 2^53 or more, which JavaScript rounds, so "
            f"that different items would be one ({self.example}). Read such ids as text, for example with "
            "JSON.parse(text, (key, value, { source }) => key === 'id' ? source : value)."
        )


def answer_of(value: Sequence[Any], cursor: Mapping[str, Any] | None, since: datetime) -> Work[Answer]:
    """Return the events of the items. The work is done in slices, one item after the other.

    An item with an id is known by its id. An item without one is a repeat if the answer before had the same item, as
    often as it was there. Otherwise the item is new, even if an earlier answer had it. Polls that are made again from
    the same cursor give it the same key.
    """
    found = Answer()
    before = (cursor or {}).get(_ANSWERED)
    for one in value:
        key = _key(one)
        if key is None and (inexact := _inexact_id(one)) is not None:
            found.refused += 1
            found.example = found.example or str(inexact)
        elif key is None:
            contents = _digest(one)
            short = contents[len("sha256:") :][:32]
            count = found.answered[short] = found.answered.get(short, 0) + 1
            if before is not None and count <= before.get(short, 0):
                found.repeats += 1
            else:
                first = before is None and count == 1  # its key is that of earlier versions
                found.drafts.append(draft_of(one, contents if first else f"{contents}/{since.isoformat()}/{count}"))
        else:
            found.drafts.append(draft_of(one, key))
        yield
    return found


def draft_of(element: Any, key: str) -> Draft:
    """Return an element as an event with this key.

    Of the published form `{id, timestamp, data}`, the data and the time are taken. Any other object is the data itself,
    and any other value is put into an object, as `value`.
    """
    match element:
        case {"id": _, "timestamp": str() as timestamp, "data": dict() as data} if _key(element):
            return Draft(key=key, data=to_json(data), occurred_at=_instant(timestamp))
        case dict():
            return Draft(key=key, data=to_json(element))
        case _:
            return Draft(key=key, data=to_json({"value": element}))


def event_type(integration: Integration, trigger: IntegrationTrigger) -> str:
    """Return the type of the trigger's events, which consists of the slugs of the integration and the trigger.

    Ids would tell a reader nothing.
    """
    return f"{slug_of(integration)}.{trigger.slug}"


def last_poll_of(cursor: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(cursor[_LAST])


def _last_poll(question: Question[PollingConfig]) -> datetime:
    return last_poll_of(question.cursor) if question.cursor else question.enabled_at


def _key(element: Any) -> str | None:
    """Return the element's id as a text, or None if it has none or an inexact one.

    An empty id counts as none, because it would make all elements one event.
    """
    match element:
        case {"id": bool()}:
            return None
        case {"id": str() as id_}:
            return id_ or None
        case {"id": int() as id_} if abs(id_) < _INEXACT:
            return str(id_)
        case _:
            return None


def _inexact_id(element: Any) -> int | float | None:
    """Return the element's id if it is a number that JavaScript cannot tell from the next ones, or else None."""
    match element:
        case {"id": int() | float() as id_} if abs(id_) >= _INEXACT:
            return id_
        case _:
            return None


def _ids(value: Sequence[Any]) -> list[str]:
    return [key for one in value if (key := _key(one))]


def _digest(element: Any) -> str:
    """Return a digest that does not depend on the order of keys in the value."""
    return digest(json.dumps(element, sort_keys=True, separators=(",", ":")).encode())


def _instant(text: str) -> datetime | None:
    try:
        return instant(datetime.fromisoformat(text))
    except ValueError:
        return None
