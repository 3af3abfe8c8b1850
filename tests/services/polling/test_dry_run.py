"""A dry run shows its author what the code did, and leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from hairtrigger.domain.caller import TRIGGER_API
from hairtrigger.domain.errors import Forbidden, Invalid, NotFound, NotReady, RateLimited
from hairtrigger.domain.integration import AuthField, InputField
from hairtrigger.platform.egress import Egress, EgressPolicy
from hairtrigger.platform.vault import Vault
from hairtrigger.sandbox.protocol.poll import PollErrorKind
from hairtrigger.sandbox.service.sandbox import Sandbox
from hairtrigger.services.polling.dry_run import DryRunRequest, DryRuns
from hairtrigger.services.polling.user_triggers import UserTriggers
from hairtrigger.services.setup.integrations import AuthDraft, Integrations, TriggerDraft
from hairtrigger.store.database import Store
from hairtrigger.store.tables import metadata
from tests.services.world import World, a_world
from tests.support.clock import ManualClock
from tests.support.servers import Seen, Server, answering, serving

pytestmark = pytest.mark.anyio

SECRET = "s3cr+t/key=="


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Server]:
    body = b'[{"id": "t1", "title": "' + SECRET.encode() + b'"}]'
    async with serving(answering(200, body, ("Set-Cookie", "session=abc"), ("X-Said", SECRET))) as started:
        yield started


@pytest.fixture(scope="module")
async def silent() -> AsyncIterator[Server]:
    async def answer(_: Seen, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with serving(answer) as started:
        yield started


@pytest.fixture(scope="module")
async def user_triggers(server: Server, silent: Server) -> AsyncIterator[UserTriggers]:
    places = {
        ("api.example.com", 80): ("127.0.0.1", server.port),
        ("slow.example.com", 80): ("127.0.0.1", silent.port),
    }
    policy = EgressPolicy((ip_network("127.0.0.1/32"),), places)
    async with Sandbox.start(workers=1) as sandbox, Egress(policy) as egress:
        yield UserTriggers(sandbox, egress)


@pytest.fixture
async def world(store: Store, clock: ManualClock, vault: Vault, user_triggers: UserTriggers) -> World:
    return await a_world(store, clock, vault, user_providers=user_triggers.providers)


@pytest.fixture
def dry_runs(world: World, user_triggers: UserTriggers) -> DryRuns:
    return DryRuns(
        store=world.store, clock=world.clock, secrets=world.secrets, user_triggers=user_triggers, at_a_time=2
    )


async def rows(store: Store) -> dict[str, list[Any]]:
    """Return every row of the database."""
    names = [*(table.name for table in metadata.sorted_tables), "pgmq.q_dispatch"]
    async with store.transaction() as tx:
        return {
            name: sorted(map(repr, (await tx.connection.execute(text(f"SELECT * FROM {name}"))).all()))
            for name in names
        }


@asynccontextmanager
async def nothing_stored(store: Store) -> AsyncIterator[None]:
    before = await rows(store)
    yield
    assert await rows(store) == before


class Author:
    """A user with an integration of one trigger, and with connections to the integration."""

    def __init__(self, world: World, vault: Vault) -> None:
        self.world = world
        self.integrations = Integrations(store=world.store, clock=world.clock, vault=vault, syntax=_unchecked)

    async def write(self, code: str | None, *fields: InputField) -> tuple[UUID, UUID]:
        self.id = (await self.integrations.create(self.world.caller, "Tracker", "")).id
        token = AuthField(slug="token", label="Token", type="PASSWORD", required=True)
        draft = AuthDraft("API_KEY", (token,), None, None, None)
        await self.integrations.set_auth(self.world.caller, self.id, draft)
        made = await self.integrations.create_trigger(
            self.world.caller, self.id, TriggerDraft("New Ticket", "", code, fields)
        )
        self.slug = made.slug
        return self.id, made.id

    async def connect(self) -> UUID:
        return (await self.world.connections.create(self.world.caller, str(self.id), "Mine", {"token": SECRET})).id

    async def enable(self, params: Mapping[str, Any] | None = None) -> UUID:
        id_ = await self.world.create(str(self.id), self.slug, params or {}, await self.connect())
        await self.world.triggers.enable(self.world.caller, id_)
        return id_


async def _unchecked(*_: object) -> None:
    pass


@pytest.fixture
def author(world: World, vault: Vault) -> Author:
    return Author(world, vault)


async def test_a_dry_run_warns_of_items_without_an_id(world: World, dry_runs: DryRuns) -> None:
    fine = await dry_runs.run(world.caller, DryRunRequest(code="return [{id: 1}, {id: '2'}]"))
    report = await dry_runs.run(world.caller, DryRunRequest(code="return [{id: 1}, 'x', 'x', {id: 2 ** 53}]"))

    assert fine.warnings == ()
    refused, without = report.warnings
    assert "1 items were refused" in refused
    assert "2 items have no id" in without
    assert [one.verdict for one in report.events] == ["new", "new", "new"]


async def test_code_alone_shows_what_it_finds_and_leaves_nothing(world: World, dry_runs: DryRuns) -> None:
    code = """console.log('since', lastPollTime, inputs.n, secrets.token);
        return [{id: 1, timestamp: '2026-03-01T12:00:00Z', data: {a: 1}}, {id: '1', b: 2}, 'x', secrets.token]"""
    since = datetime(2026, 2, 1, tzinfo=UTC)
    asked = DryRunRequest(code=code, inputs={"n": 7}, secrets={"token": SECRET}, last_poll_time=since)

    async with nothing_stored(world.store):
        report = await dry_runs.run(world.caller, asked)

    assert report.error is None
    assert report.console == ("since 2026-02-01T00:00:00.000Z 7 ***",)
    assert [(one.verdict, one.data) for one in report.events] == [
        ("new", {"a": 1}),
        ("repeated", {"id": "1", "b": 2}),
        ("new", {"value": "x"}),
        ("new", {"value": "***"}),
    ]
    first, *_, last = report.events
    assert (first.key, first.occurred_at) == ("1", datetime(2026, 3, 1, 12, tzinfo=UTC))
    assert last.occurred_at == world.clock.now()
    assert report.usage
    assert report.usage.cpu > timedelta()
    assert report.usage.memory_bytes >= 0


async def test_a_project_trigger_brings_its_code_inputs_connection_time_and_events(
    world: World, author: Author, dry_runs: DryRuns
) -> None:
    field = InputField(slug="project", label="Project", type="TEXT", required=True)
    await author.write("return [{id: inputs.project}, {id: lastPollTime}, {id: secrets.token.length}]", field)
    id_ = await author.enable({"project": "p1"})
    world.clock.advance(timedelta(minutes=1))
    await world.poll_due()
    polled_at = world.clock.now()

    async with nothing_stored(world.store):
        report = await dry_runs.run(world.caller, DryRunRequest(project_trigger_id=id_))

    assert report.last_poll_time == polled_at
    assert [(one.verdict, one.type) for one in report.events] == [
        ("stored", "tracker.new-ticket"),
        ("new", "tracker.new-ticket"),
        ("stored", "tracker.new-ticket"),
    ]
    changed = await dry_runs.run(
        world.caller,
        DryRunRequest(project_trigger_id=id_, inputs={"project": "p2"}, code="return [{id: inputs.project}]"),
    )
    assert [(one.verdict, one.key) for one in changed.events] == [("new", "p2")]


async def test_a_trigger_of_an_integration_runs_with_its_fields(
    world: World, author: Author, dry_runs: DryRuns
) -> None:
    field = InputField(slug="pin", label="Pin", type="PASSWORD", required=True)
    integration, trigger = await author.write("console.log(inputs.pin); return []", field)
    asked = DryRunRequest(integration_id=integration, integration_trigger_id=trigger, inputs={"Pin": "4711-0815"})

    assert (await dry_runs.run(world.caller, asked)).console == ("***",)
    with pytest.raises(Invalid) as raised:
        await dry_runs.run(world.caller, replace(asked, inputs={}))
    assert raised.value.issues[0].path[0] == "inputs"


async def test_every_exchange_is_shown_without_credentials(world: World, dry_runs: DryRuns) -> None:
    code = """
        const headers = {Authorization: `Basic ${btoa('me:' + secrets.token)}`, 'X-Api-Key': 'k'}
        headers['X-Own'] = 'a ' + secrets.token
        await fetch('http://api.example.com/a?key=' + encodeURIComponent(secrets.token), {headers})
        const body = 'x'.repeat(1020) + secrets.token + 'y'.repeat(1000)
        await fetch('http://api.example.com/b', {method: 'POST', body})
        return []"""

    report = await dry_runs.run(world.caller, DryRunRequest(code=code, secrets={"token": SECRET}))

    assert report.error is None
    first, second = report.exchanges
    assert (first.method, first.url) == ("GET", "http://api.example.com/a?key=***")
    sent, received = dict(first.request_headers), dict(first.response_headers)
    assert (sent["authorization"], sent["x-own"], sent["x-api-key"]) == ("***", "a ***", "***")
    assert (received["set-cookie"], received["x-said"]) == ("***", "***")
    assert (first.status, first.answered_by, first.redirected) == (200, first.url, False)
    assert first.response_body == '[{"id": "t1", "title": "***"}]'
    assert first.response_bytes == 24 + len(SECRET) + 3
    assert (second.method, second.request_bytes) == ("POST", 2020 + len(SECRET))
    assert second.request_body == "x" * 1020 + "***"
    assert timedelta() < first.duration < timedelta(seconds=5)
    assert report.usage
    assert report.usage.fetches == 2
    assert SECRET not in repr(report)


async def test_only_the_beginning_of_long_urls_and_many_headers_is_shown(world: World, dry_runs: DryRuns) -> None:
    code = """
        const headers = {};
        for (let i = 0; i < 12; i++) headers['x-' + i + 'n'.repeat(300)] = secrets.token + 'v'.repeat(1500);
        await fetch('http://api.example.com/?' + 'u'.repeat(9000) + secrets.token, {headers})
        return []"""

    report = await dry_runs.run(world.caller, DryRunRequest(code=code, secrets={"token": SECRET}))

    [exchange] = report.exchanges
    assert len(exchange.url) == 2048
    assert 0 < sum(len(name) + len(value) for name, value in exchange.request_headers) <= 8192
    assert {(len(name), value[:5], len(value)) for name, value in exchange.request_headers} == {(128, "***vv", 1015)}
    assert exchange.headers_left_out == 12 - len(exchange.request_headers)


async def test_a_long_secret_and_very_many_texts_are_redacted_in_many_slices(
    world: World, dry_runs: DryRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop has a turn after every piece, so the number of turns does not depend on the machine."""
    monkeypatch.setattr("hairtrigger.sandbox.service.slices._SECONDS", 0)
    code = "return Array.from({length: 100}, (_, i) => ({i, texts: Array(490).fill(0).map((_, n) => 't' + i + n)}))"
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    report = await dry_runs.run(world.caller, DryRunRequest(code=code, secrets={"token": "s3cr3t" * 1300}))
    turning.cancel()

    assert report.error is None
    assert len(report.events) == 100
    assert turns > 1000


async def test_why_an_address_is_refused_only_the_operator_sees(world: World, dry_runs: DryRuns) -> None:
    asked = DryRunRequest(code="await fetch('http://169.254.169.254/latest')")

    [seen] = (await dry_runs.run(replace(world.caller, operator=False), asked)).exchanges
    [operators] = (await dry_runs.run(replace(world.caller, operator=True), asked)).exchanges

    assert (seen.status, seen.error, seen.reason) == (None, "The address could not be reached.", None)
    assert (operators.error, operators.reason) == (seen.error, "blocked_address")


async def test_code_that_fails_says_where_and_what_it_asked(world: World, dry_runs: DryRuns) -> None:
    code = "console.log('asking');\nawait fetch('http://api.example.com/');\n  missing()"

    async with nothing_stored(world.store):
        report = await dry_runs.run(world.caller, DryRunRequest(code=code))

    assert report.error
    assert (report.error.kind, report.error.name) == (PollErrorKind.JS_ERROR, "ReferenceError")
    assert (report.error.line, report.error.column) == (3, 3)
    assert (report.console, len(report.exchanges), report.events) == (("asking",), 1, ())


async def test_code_that_does_not_parse_says_where(world: World, dry_runs: DryRuns) -> None:
    report = await dry_runs.run(world.caller, DryRunRequest(code="return [\n  1,,\n  }"))

    assert report.error
    assert (report.error.name, report.error.line, report.error.column) == ("SyntaxError", 3, 3)


async def test_a_fetch_that_was_given_up_is_shown_as_that(world: World, dry_runs: DryRuns) -> None:
    code = "fetch('http://slow.example.com/'); await new Promise((resolve) => setTimeout(resolve, 50)); return []"

    [exchange] = (await dry_runs.run(world.caller, DryRunRequest(code=code))).exchanges

    assert exchange.status is None
    assert exchange.error == "The answer had not come when the code ended or aborted the fetch."


async def test_more_than_two_at_a_time_have_to_wait(world: World, dry_runs: DryRuns) -> None:
    asked = DryRunRequest(code="await new Promise((resolve) => setTimeout(resolve, 300)); return []")

    ended = await asyncio.gather(*(dry_runs.run(world.caller, asked) for _ in range(3)), return_exceptions=True)

    refused = [one for one in ended if isinstance(one, RateLimited)]
    assert len(refused) == 1
    assert refused[0].retry_after > timedelta()
    stranger = replace(world.caller, org_id=uuid4())
    assert (await dry_runs.run(stranger, DryRunRequest(code="return []"))).error is None
    assert (await dry_runs.run(world.caller, DryRunRequest(code="return []"))).error is None


async def test_a_connections_secrets_go_to_the_code_of_its_own_integration_only(
    world: World, author: Author, dry_runs: DryRuns
) -> None:
    integration, _ = await author.write("return []")
    connection = await author.connect()
    code = "return [secrets.token.length]"
    own = await dry_runs.run(
        world.caller, DryRunRequest(code=code, integration_id=integration, connection_id=connection)
    )
    assert own.events[0].data == {"value": len(SECRET)}
    other = (await author.integrations.create(world.caller, "Other", "")).id
    for asked in (
        DryRunRequest(code=code, connection_id=connection),
        DryRunRequest(code=code, integration_id=other, connection_id=connection),
    ):
        with pytest.raises(Invalid):
            await dry_runs.run(world.caller, asked)


async def test_what_is_somebody_elses_is_not_found(
    store: Store, clock: ManualClock, vault: Vault, author: Author, dry_runs: DryRuns, user_triggers: UserTriggers
) -> None:
    integration, trigger = await author.write("return []")
    id_ = await author.enable()
    stranger = await a_world(store, clock, vault, user_providers=user_triggers.providers)
    for asked in (
        DryRunRequest(project_trigger_id=id_),
        DryRunRequest(integration_id=integration, integration_trigger_id=trigger),
        DryRunRequest(code="return []", connection_id=await author.connect()),
    ):
        with pytest.raises(NotFound):
            await dry_runs.run(stranger.caller, asked)


async def test_there_must_be_code_and_who_writes_it_must_be_an_author(
    world: World, author: Author, dry_runs: DryRuns
) -> None:
    integration, trigger = await author.write(None)
    for asked in (DryRunRequest(), DryRunRequest(integration_id=integration, integration_trigger_id=trigger)):
        with pytest.raises(NotReady):
            await dry_runs.run(world.caller, asked)
    with pytest.raises(Forbidden):
        await dry_runs.run(replace(world.caller, scopes=frozenset({TRIGGER_API})), DryRunRequest(code="return []"))
