"""Run polling code for its author. A dry run shows everything, stores nothing and moves no cursor."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Literal
from uuid import UUID

from pydantic import ValidationError
from pydantic_core import from_json

from hairtrigger.domain.caller import INTEGRATION_API, Caller
from hairtrigger.domain.errors import Invalid, Issue, NotFound, NotReady, RateLimited
from hairtrigger.domain.event import bounded_key
from hairtrigger.domain.ids import parsed_id
from hairtrigger.domain.instants import instant
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.egress import EgressFailed
from hairtrigger.platform.shares import Shares, Tenant
from hairtrigger.sandbox.protocol.poll import FetchFailed, HttpRequest, HttpResponse, Outcome, PollError, Program, Usage
from hairtrigger.sandbox.service.redaction import Redaction, decoded
from hairtrigger.sandbox.service.slices import in_slices
from hairtrigger.services.polling.user_triggers import NO_CODE, UserTriggers, answer_of, event_type, last_poll_of
from hairtrigger.services.secrets import Secrets
from hairtrigger.services.setup.integrations import config_model, inputs_of, passwords_of
from hairtrigger.store.database import Store
from hairtrigger.store.events import events
from hairtrigger.store.polling import polls
from hairtrigger.store.setup import connections, integrations, triggers
from hairtrigger.store.setup.integrations import Integration, IntegrationTrigger
from hairtrigger.store.setup.triggers import ProjectTrigger
from hairtrigger.store.transaction import Transaction

_LATELY = timedelta(days=1)
_OF_ALL = 100  # dry runs of all organisations at a time
_WITHOUT_ID = (
    "{} items have no id. They are new in a poll where the answer before did not have them; {} of them were in it. "
    "Give each an `id` that stays the same, and no event comes twice."
)
_RETRY_AFTER = timedelta(seconds=5)
_SHOWN = 1024  # characters of a body
_SHOWN_URL = 2048
_SHOWN_NAME = 128  # characters of a header's name
_SHOWN_VALUE = 1024
_SHOWN_HEADERS = 8192  # characters of all the headers of a request, or of a response
_HIDDEN = "***"

# Values of headers that hold credentials are hidden from every user, also from a user that may read the secrets.
_CREDENTIALS = re.compile(
    r"auth|cookie|credential|key|password|secret|session|signature|token", re.ASCII | re.IGNORECASE
)

Verdict = Literal["new", "stored", "repeated"]


@dataclass(frozen=True)
class DryRunRequest:
    """The code to run, its inputs and its secrets.

    A field that is None takes the project trigger's value, if one is given.
    """

    code: str | None = None
    integration_id: UUID | None = None
    integration_trigger_id: UUID | None = None
    project_trigger_id: UUID | None = None
    inputs: Mapping[str, Any] | None = field(default=None, repr=False)
    secrets: Mapping[str, str] | None = field(default=None, repr=False)
    connection_id: UUID | None = None
    last_poll_time: datetime | None = None


@dataclass(frozen=True)
class FoundEvent:
    """An event as it would be stored, without secrets in its data.

    The verdict is `stored` if the trigger has the event already, `repeated` if the same run returned it before, and
    else `new`.
    """

    verdict: Verdict
    key: str
    type: str | None
    occurred_at: datetime
    data: Any


@dataclass
class Exchange:
    """One fetch of the code and its answer, without secrets.

    Long bodies, URLs and headers are cut, and the number of headers is limited.
    """

    method: str = ""
    url: str = ""
    request_headers: tuple[tuple[str, str], ...] = ()
    request_body: str = ""
    request_bytes: int = 0
    duration: timedelta = timedelta()
    status: int | None = None
    answered_by: str | None = None
    redirected: bool = False
    response_headers: tuple[tuple[str, str], ...] = ()
    response_body: str = ""
    response_bytes: int = 0
    headers_left_out: int = 0
    error: str | None = "The answer had not come when the code ended or aborted the fetch."
    reason: str | None = None  # for the operator


@dataclass(frozen=True)
class Report:
    last_poll_time: datetime
    events: tuple[FoundEvent, ...]
    error: PollError | None
    console: tuple[str, ...]
    exchanges: tuple[Exchange, ...]
    usage: Usage | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Prepared:
    program: Program
    type: str | None
    trigger: ProjectTrigger | None
    cursor: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class DryRuns:
    store: Store
    clock: Clock
    secrets: Secrets
    user_triggers: UserTriggers
    at_a_time: int  # dry runs of one organisation
    _places: Shares = field(init=False, repr=False)

    def __post_init__(self) -> None:
        all_ = max(_OF_ALL, 2 * self.at_a_time)
        object.__setattr__(self, "_places", Shares(all_, of_org=self.at_a_time, of_project=self.at_a_time))

    async def run(self, caller: Caller, asked: DryRunRequest) -> Report:
        """Run the code once, and report everything that it did, also an error of the code.

        Raise `RateLimited` while too many other dry runs are under way, `Forbidden` if the caller gives code without
        the scope for writing code, `NotReady` if there is no code, and `Invalid` if the inputs or the connection do not
        fit the code.
        """
        if asked.code is not None:
            caller.require(INTEGRATION_API)  # running given code needs the scope for writing code
        with self._turn(caller.org_id):
            async with self.store.transaction() as tx:
                prepared = await self._prepared(tx, caller, asked)
            program = prepared.program
            redaction = Redaction((*program.secrets.values(), *program.hidden))
            tenant = Tenant(program.tenant, program.project)
            watched = _Watched(self.user_triggers, tenant, redaction, operator=caller.operator)
            ended = await self._ended(program, watched)
            value = ended.value if isinstance(ended, Outcome) else []
            found, warnings = await self._found(prepared, value, redaction)
            if isinstance(ended, Outcome) and ended.rest:
                warnings.append(f"{len(ended.rest)} more events would be taken in further parts of the poll.")
        return Report(
            last_poll_time=program.last_poll_time,
            events=found,
            error=ended if isinstance(ended, PollError) else None,
            console=ended.console,
            exchanges=tuple(watched.exchanges),
            usage=ended.usage,
            warnings=tuple(warnings),
        )

    async def _ended(self, program: Program, watched: "_Watched") -> Outcome | PollError:
        try:
            return await self.user_triggers.sandbox.run(program, watched.fetch)
        except PollError as error:
            return error

    @contextmanager
    def _turn(self, org_id: UUID) -> Iterator[None]:
        tenant = Tenant(str(org_id))
        if not self._places.taken(tenant):
            raise RateLimited(
                f"At most {self.at_a_time} dry runs of an organisation at a time, and a limited number of all.",
                retry_after=_RETRY_AFTER,
            )
        try:
            yield
        finally:
            self._places.leave(tenant)

    # -- before the run

    async def _prepared(self, tx: Transaction, caller: Caller, asked: DryRunRequest) -> _Prepared:
        trigger = await self._project_trigger(tx, caller, asked)
        integration, stored = await self._definition(tx, caller, asked, trigger)
        code = asked.code if asked.code is not None or stored is None else stored.polling_code
        if code is None:
            raise NotReady(NO_CODE if stored else "There is no code to run: give it, or a trigger that has some.")
        kept = self.secrets.params(trigger.id, trigger.config) if trigger and asked.inputs is None else {}
        inputs, hidden = _inputs(stored, kept if asked.inputs is None else asked.inputs)
        poll = await polls.get(tx, trigger.id) if trigger else None
        cursor = poll.cursor if poll else None
        program = Program(
            code=code,
            inputs=inputs,
            secrets=await self._held(tx, caller, asked, trigger, integration),
            last_poll_time=asked.last_poll_time or self._last_poll(cursor, trigger),
            hidden=hidden,
            tenant=str(caller.org_id),
            project=trigger.project_id if trigger else "",
        )
        type_ = event_type(integration, stored) if integration and stored else None
        return _Prepared(program, type_, trigger, cursor)

    async def _project_trigger(self, tx: Transaction, caller: Caller, asked: DryRunRequest) -> ProjectTrigger | None:
        trigger_id = asked.project_trigger_id
        if trigger_id is None:
            return None
        trigger = await triggers.existing(tx, caller.org_id, trigger_id)
        if trigger.disconnected and asked.connection_id is None and asked.secrets is None:
            raise NotReady(trigger.disconnected)
        return trigger

    async def _definition(
        self, tx: Transaction, caller: Caller, asked: DryRunRequest, trigger: ProjectTrigger | None
    ) -> tuple[Integration | None, IntegrationTrigger | None]:
        """Return the integration, and its trigger to which the code belongs. Each is None if the request names none."""
        id_ = asked.integration_id or (parsed_id(trigger.provider_id) if trigger else None)
        integration = await integrations.get(tx, caller.org_id, id_) if id_ else None
        if asked.integration_id and not integration:
            raise NotFound("Integration not found")
        if not integration:
            return None, None
        if asked.integration_trigger_id:
            stored = await integrations.trigger(tx, integration.id, asked.integration_trigger_id)
            if not stored:
                raise NotFound("Trigger not found")
            return integration, stored
        all_ = await integrations.triggers(tx, integration.id) if trigger else []
        return integration, next((one for one in all_ if trigger and one.slug == trigger.trigger_id), None)

    async def _held(
        self,
        tx: Transaction,
        caller: Caller,
        asked: DryRunRequest,
        trigger: ProjectTrigger | None,
        integration: Integration | None,
    ) -> dict[str, str]:
        """Return the secrets for the code, by their names: those of the request, or else those of the connection.

        Only code of the connection's own integration gets the connection's secrets, because code can send them
        anywhere. Raise `Invalid` for any other connection.
        """
        id_ = asked.connection_id or (trigger.connection_id if trigger else None)
        if asked.secrets is not None or id_ is None:
            return dict(asked.secrets or {})
        connection = await connections.existing(tx, caller.org_id, id_)
        if not integration or connection.provider_id != str(integration.id):
            raise Invalid(None, Issue(("connection_id",), "The connection is not one to the code's integration."))
        return self.secrets.of_connection(connection)

    def _last_poll(self, cursor: Mapping[str, Any] | None, trigger: ProjectTrigger | None) -> datetime:
        if cursor:
            return last_poll_of(cursor)
        return (trigger.enabled_at if trigger else None) or self.clock.now() - _LATELY

    # -- after the run

    async def _found(
        self, prepared: _Prepared, value: list[Any], redaction: Redaction
    ) -> tuple[tuple[FoundEvent, ...], list[str]]:
        now = self.clock.now()
        answer = await in_slices(answer_of(value, prepared.cursor, prepared.program.last_poll_time))
        warnings = [answer.refusal] if answer.refused else []
        if answer.without_id:
            warnings.append(_WITHOUT_ID.format(answer.without_id, answer.repeats))
        drafts = answer.drafts
        keys = [bounded_key(one.key) for one in drafts]
        stored: set[str] = set()
        if prepared.trigger and keys:
            async with self.store.transaction() as tx:
                stored = await events.known(tx, prepared.trigger.id, keys)
        seen: set[str] = set()
        found = []
        for key, draft in zip(keys, drafts, strict=True):
            verdict: Verdict = "stored" if key in stored else "repeated" if key in seen else "new"
            seen.add(key)
            data = await in_slices(redaction.in_json(from_json(draft.data)))
            shown = await in_slices(redaction.all_of(key))
            found.append(
                FoundEvent(
                    verdict, shown, prepared.type, instant(draft.occurred_at) if draft.occurred_at else now, data
                )
            )
        return tuple(found), warnings


class _Watched:
    """Fetches for the code, and keeps every exchange, with secrets and credentials replaced by `***`."""

    def __init__(self, user_triggers: UserTriggers, tenant: Tenant, redaction: Redaction, *, operator: bool) -> None:
        self._user_triggers = user_triggers
        self._tenant = tenant
        self._redaction = redaction
        self._operator = operator
        self.exchanges: list[Exchange] = []

    async def fetch(self, request: HttpRequest) -> HttpResponse:
        exchange = Exchange()
        self.exchanges.append(exchange)
        exchange.method = await self._beginning_of(request.method, _SHOWN_NAME)
        exchange.url = await self._beginning_of(request.url, _SHOWN_URL)
        exchange.request_headers = await self._headers(exchange, request.headers)
        exchange.request_body = await self._body(request.body or b"")
        exchange.request_bytes = len(request.body or b"")
        started = monotonic()
        try:
            response = await self._user_triggers.fetch(self._tenant, request)
        except FetchFailed as failed:
            exchange.error, exchange.reason = self._why(failed)
            raise
        finally:
            exchange.duration = timedelta(seconds=monotonic() - started)
        exchange.error = None
        exchange.status = response.status
        exchange.answered_by = await self._beginning_of(response.url, _SHOWN_URL)
        exchange.redirected = response.redirected
        exchange.response_headers = await self._headers(exchange, response.headers)
        exchange.response_body = await self._body(response.body)
        exchange.response_bytes = len(response.body)
        return response

    def _why(self, failed: FetchFailed) -> tuple[str, str | None]:
        cause = failed.__cause__
        if not isinstance(cause, EgressFailed):
            return "fetch failed", None
        return cause.message, cause.reason if self._operator else None

    async def _headers(self, exchange: Exchange, headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        shown: list[tuple[str, str]] = []
        room = _SHOWN_HEADERS
        for name, value in headers:
            is_credential = _CREDENTIALS.search(name[:_SHOWN_NAME])
            said = (
                await self._beginning_of(name, _SHOWN_NAME),
                _HIDDEN if is_credential else await self._beginning_of(value, _SHOWN_VALUE),
            )
            room -= sum(map(len, said))
            if room < 0:
                break
            shown.append(said)
        exchange.headers_left_out += len(headers) - len(shown)
        return tuple(shown)

    async def _beginning_of(self, text: str, length: int) -> str:
        return await in_slices(self._redaction.shown(text, length, cut=False))

    async def _body(self, body: bytes) -> str:
        text, cut = decoded(body, 4 * (_SHOWN + self._redaction.longest))
        return await in_slices(self._redaction.shown(text, _SHOWN, cut=cut))


def _inputs(stored: IntegrationTrigger | None, given: Mapping[str, Any]) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Return the inputs as the code finds them, and the values of those that are passwords.

    Raise `Invalid` with a path to each input that is not valid. Without a stored trigger, any inputs are valid.
    """
    if stored is None:
        return given, ()
    try:
        config = config_model(stored.input_fields).model_validate(dict(given))
    except ValidationError as error:
        issues = [Issue(("inputs", *e["loc"]), e["msg"], e["type"]) for e in error.errors()]
        raise Invalid("The inputs are not valid.", *issues) from error
    return inputs_of(stored.input_fields, config), passwords_of(stored.input_fields, config)
