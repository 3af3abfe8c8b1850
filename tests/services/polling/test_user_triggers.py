"""Triggers with polling code of users work in the real sandbox like any other trigger."""

from asyncio import Event, StreamWriter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from typing import Any
from uuid import UUID

import pytest

from hairtrigger.domain.errors import Invalid, NotFound, NotReady
from hairtrigger.domain.event import digest
from hairtrigger.domain.integration import AuthField, InputField
from hairtrigger.domain.operational import OperationalType
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.platform.egress import Egress, EgressPolicy
from hairtrigger.platform.shares import Tenant
from hairtrigger.platform.vault import Vault
from hairtrigger.sandbox.protocol.poll import DEFAULT_LIMITS
from hairtrigger.sandbox.service.sandbox import Sandbox
from hairtrigger.services.catalogue import catalogue_of
from hairtrigger.services.explain.health import Diagnosis
from hairtrigger.services.polling.poller import Result
from hairtrigger.services.polling.user_triggers import UserTriggers
from hairtrigger.services.setup.integrations import AuthDraft, Integrations, TriggerDraft
from hairtrigger.services.setup.triggers import TriggerChanges
from hairtrigger.store.database import Store
from hairtrigger.store.events import outcomes
from hairtrigger.store.explain import trigger_health
from hairtrigger.store.explain.streaks import MOST_FRUITLESS
from hairtrigger.store.polling import polls
from tests.services.world import Killed, World, a_world, dying
from tests.store.build import a_trigger
from tests.support.clock import ManualClock
from tests.support.servers import Seen, answering, serving

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
FAILS = InputField(slug="fails", label="Fails", type="BOOLEAN")


@pytest.fixture(scope="module")
async def user_triggers() -> AsyncIterator[UserTriggers]:
    async with Sandbox.start(workers=1) as sandbox, Egress(EgressPolicy()) as egress:
        yield UserTriggers(sandbox, egress)


@pytest.fixture
async def world(store: Store, clock: ManualClock, vault: Vault, user_triggers: UserTriggers) -> World:
    return await a_world(store, clock, vault, user_providers=user_triggers.providers)


class Author:
    """A user who writes an integration and uses it."""

    def __init__(self, world: World, vault: Vault) -> None:
        self.world = world
        self.integrations = Integrations(store=world.store, clock=world.clock, vault=vault, syntax=_unchecked)
        self.id = UUID(int=0)

    async def enabled(self, code: str | None, *fields: InputField, **params: Any) -> UUID:
        """Make a trigger with this code, enable it with these parameters, and return its id."""
        self.id = (await self.integrations.create(self.world.caller, "Tracker", "")).id
        made = await self.integrations.create_trigger(
            self.world.caller, self.id, TriggerDraft("New Ticket", "", code, fields)
        )
        return await self.world.enabled(str(self.id), made.slug, params)

    async def poll(self) -> Result:
        self.world.clock.advance(MINUTE)
        [result] = await self.world.poll_due()
        return result


async def _unchecked(*_: object) -> None:
    pass


@pytest.fixture
def author(world: World, vault: Vault) -> Author:
    return Author(world, vault)


async def test_both_published_forms_and_anything_else_become_events(world: World, author: Author) -> None:
    id_ = await author.enabled(
        """return [
            {id: "1", timestamp: "2026-03-01T12:00:00Z", data: {title: "a", price: 1.5}},
            {id: 2, title: "b"},
            {title: "c", tags: ["x"]},
            "d", 5, null, true, ["e"],
        ]"""
    )

    result = await author.poll()

    assert (result.code, len(result.events)) == (Code.ACCEPTED, 8)
    assert await world.bodies(id_) == [
        {"title": "a", "price": 1.5},
        {"id": 2, "title": "b"},
        {"title": "c", "tags": ["x"]},
        {"value": "d"},
        {"value": 5},
        {"value": None},
        {"value": True},
        {"value": ["e"]},
    ]
    first, second, third, fourth, *_ = await world.events(id_)
    assert (first.key, second.key) == ("1", "2")
    assert first.occurred_at.isoformat() == "2026-03-01T12:00:00+00:00"
    assert second.occurred_at == second.received_at
    assert third.key == digest(b'{"tags":["x"],"title":"c"}'), "the digest of its canonical JSON"
    assert fourth.key == digest(b'"d"')
    assert {event.type for event in (first, fourth)} == {"tracker.new-ticket"}


@pytest.mark.parametrize(
    ("element", "same"),
    [
        ('{id: 1, a: "first"}', '{id: "1", a: "second"}'),
        ('{id: "x", timestamp: "2026-03-01T12:00:00Z", data: {}}', '{id: "x"}'),
    ],
)
async def test_an_event_said_twice_is_one(world: World, author: Author, element: str, same: str) -> None:
    id_ = await author.enabled(f"return [{element}, {same}]")
    assert (await author.poll()).repeats == 1
    assert (await author.poll()).code == Code.DUPLICATE
    assert len(await world.keys(id_)) == 1


@pytest.mark.parametrize("id_", ['""', "null", "undefined", "1.5", "{}", "false", "true"])
async def test_events_with_an_unusable_id_are_told_apart_by_their_content(
    world: World, author: Author, id_: str
) -> None:
    trigger = await author.enabled(f"return [{{id: {id_}, n: 1}}, {{id: {id_}, n: 2}}]")
    await author.poll()
    assert [body["n"] for body in await world.bodies(trigger)] == [1, 2]


@pytest.mark.parametrize(
    "element",
    [
        r'"half a \ud800 surrogate"',
        r'{id: "half \ud800"}',
        r'{id: "nul \0"}',
        r'{"\ud800": "\0"}',
        '{id: "x".repeat(5000)}',
        "{id: 2 ** 53 - 1}",
        '{id: "1", timestamp: "0001-01-01T00:00:00+14:00", data: {}}',
        '{id: "1", timestamp: "9999-12-31T23:59:59-14:00", data: {}}',
        '{id: "1", timestamp: "yesterday", data: {}}',
        '{id: "1", timestamp: "2026-03-01", data: {}}',
        '{id: "1", timestamp: 5, data: {}}',
        '{id: "1", timestamp: "2026-03-01T12:00:00Z", data: "text"}',
    ],
)
async def test_no_element_is_too_odd_to_be_an_event(world: World, author: Author, element: str) -> None:
    id_ = await author.enabled(f"return [{element}, 'next']")
    assert (await author.poll()).code == Code.ACCEPTED
    assert len(await world.keys(id_)) == 2
    assert (await author.poll()).code == Code.DUPLICATE


@pytest.mark.parametrize(("element", "same"), [("'open'", "'op' + 'en'"), ("{a: 1, b: [2]}", "{b: [2], a: 1}")])
async def test_without_an_id_an_item_that_was_gone_is_new_again(
    world: World, author: Author, element: str, same: str
) -> None:
    """Items without an id are compared with the last answer only, as often as they were in it."""
    code = f"const all = [[{element}], [{same}], [], [{element}], [{same}, {element}, 'x'], ['x', {element}]];"
    id_ = await author.enabled(f"{code} return all[inputs.n]", InputField(slug="n", label="n", type="NUMBER"), n=0)
    codes, counts = [], []
    for n in range(6):
        await world.set_config(id_, {"n": n})
        result = await author.poll()
        codes.append(result.code)
        counts.append((len(result.events), result.repeats))

    assert counts == [(1, 0), (0, 1), (0, 0), (1, 0), (2, 1), (0, 2)]
    assert codes[:3] == [Code.ACCEPTED, Code.DUPLICATE, Code.EMPTY]


async def test_what_an_earlier_version_stored_without_an_id_is_no_event_again(world: World, author: Author) -> None:
    """Such a version kept no answer in its cursor, and its keys were digests of the contents."""
    id_ = await author.enabled("return ['open']")
    await author.poll()
    async with world.store.transaction() as tx:
        await polls.set_cursor(tx, id_, {"last_poll_time": world.clock.now().isoformat()})

    assert (await author.poll()).code is Code.DUPLICATE
    assert (await author.poll()).code is Code.DUPLICATE
    assert len(await world.keys(id_)) == 1


async def test_a_poll_that_is_made_again_gives_items_without_an_id_the_same_keys(
    store: Store, world: World, author: Author
) -> None:
    """The process dies before it stores that the poll has ended."""
    id_ = await author.enabled("return ['open', 'open']")
    world.clock.advance(MINUTE)
    poller = world.poller_on(dying(store, at=2))
    [claimed] = (await poller.claim(10)).mine
    with pytest.raises(Killed):
        await poller.run(claimed)

    world.clock.advance(MINUTE * 60)
    [result] = await world.poll_due()

    assert (len(result.events), len(await world.keys(id_))) == (2, 2)


@pytest.mark.parametrize("id_", ["2 ** 53", "9007199254740993", "-(2 ** 60)", "1e300", "12345678901234567890"])
async def test_an_id_that_is_no_exact_number_is_refused_and_told(world: World, author: Author, id_: str) -> None:
    trigger = await author.enabled(f"return [{{id: {id_}, n: 1}}, {{id: {id_}, n: 2}}, {{id: 3}}, {{id: 2 ** 53 - 1}}]")

    result = await author.poll()

    assert (result.code, await world.keys(trigger)) == (Code.ITEMS_REFUSED, ["3", "9007199254740991"])
    assert "2 items were refused" in result.detail
    assert "JSON.parse" in result.detail
    assert (await author.poll()).code is Code.ITEMS_REFUSED
    assert (await world.clockwork(trigger)).error is None
    [told] = await world.noticed()
    assert (told.type, told.project_trigger_id, told.number) == (OperationalType.TRIGGER_ITEMS_REFUSED, trigger, 2)
    assert "2 items were refused" in told.sentence


async def test_a_poll_whose_items_are_all_refused_fails(world: World, author: Author) -> None:
    trigger = await author.enabled("return [{id: 2 ** 53}]")
    result = await author.poll()
    assert result.code is Code.FAILED
    assert "1 items were refused" in ((await world.clockwork(trigger)).error or "")


async def test_the_way_out_that_is_told_works(world: World, author: Author) -> None:
    text = '[{"id": 9007199254740993, "n": 1}, {"id": 9007199254740992, "n": 2}]'
    parse = "(key, value, { source }) => key === 'id' ? source : value"
    trigger = await author.enabled(f"return JSON.parse('{text}', {parse})")
    assert (await author.poll()).code is Code.ACCEPTED
    assert await world.keys(trigger) == ["9007199254740993", "9007199254740992"]


async def test_more_events_than_fit_are_taken_in_parts_and_none_is_lost(
    store: Store, clock: ManualClock, vault: Vault
) -> None:
    """The first poll takes ten parts, and the next one goes on from the same time."""
    limits = replace(DEFAULT_LIMITS, result_count=20)
    async with Sandbox.start(workers=1, limits=limits) as sandbox, Egress(EgressPolicy()) as egress:
        world = await a_world(store, clock, vault, user_providers=UserTriggers(sandbox, egress).providers)
        author = Author(world, vault)
        code = "return Array.from({length: inputs.n}, (_, n) => ({id: n, since: lastPollTime}))"
        trigger = await author.enabled(code, InputField(slug="n", label="n", type="NUMBER"), n=230)
        enabled_at = world.clock.now()

        first = await author.poll()
        assert (len(first.events), first.code) == (200, Code.ACCEPTED)
        assert "goes on" in first.detail
        assert (await world.trigger(trigger)).cursor == {"last_poll_time": enabled_at.isoformat()}
        assert len((await author.poll()).events) == 30
        assert set(await world.keys(trigger)) == set(map(str, range(230)))
        await world.set_config(trigger, {"n": 3})
        assert (await author.poll()).code is Code.DUPLICATE


async def test_events_that_are_too_large_together_are_taken_in_parts(world: World, author: Author) -> None:
    code = "return Array.from({length: 30}, (_, n) => ({id: `n${n}`, text: '\u20ac'.repeat(30_000)}))"
    trigger = await author.enabled(code)
    assert len((await author.poll()).events) == 30
    assert len(set(await world.keys(trigger))) == 30


@pytest.mark.parametrize("items", ["new Array(1001).fill('x')", "[...Array(1001).keys()].map((n) => ({n}))"])
async def test_more_items_without_an_id_than_fit_are_refused_with_a_sentence(
    world: World, author: Author, items: str
) -> None:
    await author.enabled(f"return {items}")
    result = await author.poll()
    assert (result.code, result.error_kind) == (Code.FAILED, "too_many_results")
    assert "without ids they cannot be told apart" in result.detail


async def test_a_trigger_that_has_lost_its_code_fails_and_says_so(world: World, author: Author) -> None:
    id_ = await author.enabled("return []")
    [made] = (await author.integrations.get(world.caller, author.id)).triggers
    await author.integrations.replace_trigger(world.caller, author.id, made.id, TriggerDraft(made.name, "", None, ()))
    assert "has no polling code" in (await author.poll()).detail
    with pytest.raises(NotReady, match="no polling code"):
        await world.enabled(str(author.id), made.slug)
    assert (await world.clockwork(id_)).cursor is None


async def test_a_renamed_field_keeps_its_value(world: World, author: Author) -> None:
    board = InputField(slug="projectId", label="Project ID", required=True)
    id_ = await author.enabled("return [inputs.projectId]", board, projectId="p1")
    [made] = (await author.integrations.get(world.caller, author.id)).triggers
    renamed = InputField(slug="projectIdentifier", label="Project Identifier", required=True)
    code = "return [inputs.projectIdentifier, inputs.projectId, inputs['Project Identifier']]"

    changed = await author.integrations.replace_trigger(
        world.caller, author.id, made.id, TriggerDraft(made.name, "", code, (renamed,))
    )

    assert changed.input_fields[0].slug == "projectId"
    assert (await author.poll()).code is Code.ACCEPTED
    assert [body["value"] for body in await world.bodies(id_)] == ["p1", "p1", "p1"]


async def test_a_field_that_no_longer_fits_is_named(world: World, author: Author) -> None:
    id_ = await author.enabled("return []", InputField(slug="projectId", label="Project ID"), projectId="p1")
    [made] = (await author.integrations.get(world.caller, author.id)).triggers
    owner = InputField(slug="ownerName", label="Owner Name", type="NUMBER", required=True)
    await author.integrations.replace_trigger(
        world.caller, author.id, made.id, TriggerDraft(made.name, "", "return []", (owner,))
    )

    result = await author.poll()

    assert result.code is Code.FAILED
    for name in ("ownerName ('Owner Name')", "projectId"):
        assert name in result.detail
    assert (await world.clockwork(id_)).error == result.detail


async def test_the_type_of_events_stays_when_an_integration_is_renamed(world: World, author: Author) -> None:
    trigger = await author.enabled("return [lastPollTime]")
    await author.poll()
    await author.integrations.change(world.caller, author.id, name="Issue Board")
    await author.poll()
    assert {event.type for event in await world.events(trigger)} == {"tracker.new-ticket"}


async def test_integrations_have_types_of_their_own(world: World, author: Author) -> None:
    types = set()
    for name in ("问题", "課題", "Łódź", "Lodz", "Ødegård"):
        made = await author.integrations.create(world.caller, name, "")
        types.add(made.slug)
    assert types == {"integration", "integration-2", "lodz", "lodz-2", "odegard"}


async def test_a_trigger_whose_integration_changes_its_authentication_is_told(
    world: World, author: Author, vault: Vault
) -> None:
    """Its polls fail with the reason until it is given a connection again."""
    integration = await author.integrations.create(world.caller, "Tracker", "")
    token = AuthField(slug="token", label="Token", type="PASSWORD")
    await author.integrations.set_auth(world.caller, integration.id, AuthDraft("API_KEY", (token,), None, None, None))
    draft = TriggerDraft("New", "", "return [`Bearer ${secrets.token}`]", ())
    made = await author.integrations.create_trigger(world.caller, integration.id, draft)
    connection = await world.connections.create(world.caller, str(integration.id), "Mine", {"token": "t"})
    id_ = await world.create(str(integration.id), made.slug, connection_id=connection.id)
    await world.triggers.enable(world.caller, id_)
    assert (await author.poll()).code is Code.ACCEPTED

    await author.integrations.set_auth(world.caller, integration.id, AuthDraft("OAUTH", (token,), None, None, None))

    [told] = await world.poll_due()
    assert told.code is Code.CREDENTIALS_REFUSED
    assert "authType changed from API_KEY to OAUTH" in told.detail
    assert await world.bodies(id_) == [{"value": "Bearer t"}]
    await world.triggers.disable(world.caller, id_)
    with pytest.raises(NotReady, match="authType"):
        await world.triggers.enable(world.caller, id_)
    other = await world.connections.create(world.caller, str(integration.id), "Again", {"token": "u"})
    await world.triggers.change(world.caller, id_, TriggerChanges(frozenset({"connection_id"}), connection_id=other.id))
    await world.triggers.enable(world.caller, id_)
    await author.poll()
    assert (await world.bodies(id_))[-1] == {"value": "Bearer u"}


async def test_the_slug_of_a_deleted_trigger_is_never_given_again(world: World, author: Author) -> None:
    await author.enabled("return []")
    [made] = (await author.integrations.get(world.caller, author.id)).triggers
    await author.integrations.delete_trigger(world.caller, author.id, made.id)
    again = await author.integrations.create_trigger(
        world.caller, author.id, TriggerDraft("New Ticket", "", "return []", ())
    )
    assert (made.slug, again.slug) == ("new-ticket", "new-ticket-2")


async def test_the_code_is_told_since_when_it_should_look(world: World, author: Author) -> None:
    """The code gets the time of enabling, later the start of the last poll that worked, also after a time disabled."""
    id_ = await author.enabled("if (inputs.fails) throw new Error('no'); return [lastPollTime]", FAILS, fails=False)
    enabled_at = world.clock.now()
    await author.poll()
    first = world.clock.now()
    await author.poll()
    second = world.clock.now()
    found = await world.trigger(id_)
    await world.set_config(id_, {"fails": True})
    assert (await author.poll()).code == Code.FAILED
    await world.set_config(id_, found.config)
    await author.poll()
    third = world.clock.now()
    await world.triggers.disable(world.caller, id_)
    world.clock.advance(MINUTE * 60)
    await world.triggers.enable(world.caller, id_)
    await author.poll()

    told = [body["value"].replace(".000Z", "+00:00") for body in await world.bodies(id_)]
    assert told == [at.isoformat() for at in (enabled_at, first, second, third)]


async def test_a_poll_by_hand_shows_the_console_also_of_code_that_throws(world: World, author: Author) -> None:
    code = "console.log('looked', inputs.fails);\nif (inputs.fails) throw new TypeError('no such page'); return []"
    id_ = await author.enabled(code, FAILS, fails=False)
    assert (await world.poller.poll_now(world.caller, id_)).console == ("looked false",)

    await world.set_config(id_, {"fails": True})
    result = await world.poller.poll_now(world.caller, id_)

    assert (result.code, result.console, result.error_kind) == (Code.FAILED, ("looked true",), "js_error")
    assert result.detail == "TypeError: no such page (line 2, column 29)"
    world.clock.advance(MINUTE)
    assert {one.detail for one in await world.outcomes(id_, Kind.POLL)} == {"Console: looked false", result.detail}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("return {id: 1}", "array"),
        ("return", "array"),
        ("while (true) {}", "CPU"),
        ("await new Promise(() => {})", ""),
        ("this is not JavaScript", "SyntaxError"),
        ("await fetch('http://127.0.0.1:1/')", "fetch failed"),
    ],
)
async def test_code_that_does_not_answer_is_a_failed_poll_that_says_why(
    world: World, author: Author, code: str | None, reason: str
) -> None:
    id_ = await author.enabled(code)
    result = await author.poll()
    assert result.code == Code.FAILED
    assert reason.lower() in result.detail.lower()
    found = await world.clockwork(id_)
    assert (found.cursor, found.lease) == (None, None)


async def test_code_is_told_which_limit_ended_its_fetch(
    store: Store, clock: ManualClock, vault: Vault, user_triggers: UserTriggers
) -> None:
    async def silent(_: Seen, __: StreamWriter) -> None:
        await Event().wait()

    async with serving(silent) as server, Egress(EgressPolicy((ip_network("127.0.0.0/8"),))) as egress:
        reached = UserTriggers(user_triggers.sandbox, egress, timedelta(milliseconds=1))
        author = Author(await a_world(store, clock, vault, user_providers=reached.providers), vault)
        await author.enabled(f"await fetch('{server.url}')")
        result = await author.poll()

    assert result.detail.startswith("TypeError: fetch failed: The answer took longer than 0.001 seconds.")


async def test_code_that_swallows_refusals_is_told_and_becomes_failing(
    store: Store, clock: ManualClock, vault: Vault, user_triggers: UserTriggers
) -> None:
    async with serving(answering(401)) as server, Egress(EgressPolicy((ip_network("127.0.0.0/8"),))) as egress:
        reached = UserTriggers(user_triggers.sandbox, egress)
        world = await a_world(store, clock, vault, user_providers=reached.providers)
        author = Author(world, vault)
        id_ = await author.enabled(
            f"const {{status}} = await fetch('{server.url}/items?token=t0k3n'); console.log('got', status); return []"
        )
        diagnosis = Diagnosis(
            clock=clock, catalogue=catalogue_of((), reached.providers), poll_deadline=MINUTE, schedule_grace=MINUTE
        )

        async def polled() -> tuple[Any, Any, Any]:
            result = await author.poll()
            async with store.transaction() as tx:
                latest = await outcomes.of_trigger(tx, id_)
                org_id = world.caller.org_id
                return result, latest, await trigger_health.of_trigger(tx, org_id, diagnosis.expectations(), id_)

        polls = [await polled() for _ in range(MOST_FRUITLESS)]

    result, latest, condition = polls[-1]
    statuses = [condition.status for _, _, condition in polls]
    assert result.code == Code.EMPTY
    assert result.detail == f"Its code made 1 request: GET {server.url}/items answered 401. Console: got 401"
    assert statuses == [*["healthy"] * (MOST_FRUITLESS - 1), "failing"]
    reason = diagnosis.health(condition, latest).reason
    assert reason.startswith("The last 5 polls found nothing, and every request of their code failed or was refused.")
    assert "answered 401" in reason


async def test_the_code_fetches_with_the_connections_secrets(
    store: Store, clock: ManualClock, vault: Vault, user_triggers: UserTriggers
) -> None:
    async with serving(answering(200, b'[{"id": "t1", "title": "Broken"}]')) as server:
        place = ("127.0.0.1", server.port)
        policy = EgressPolicy((ip_network("127.0.0.0/8"),), {("tracker.example.com", 80): place})
        async with Egress(policy) as egress:
            reached = UserTriggers(user_triggers.sandbox, egress)
            author = Author(await a_world(store, clock, vault, user_providers=reached.providers), vault)
            bodies = await _with_a_connection(author)
    assert bodies == [{"id": "t1", "title": "Broken"}]
    assert server.seen[0].header("authorization") == "Bearer t0k3n"


async def _with_a_connection(author: Author) -> list[Any]:
    world = author.world
    integration = await author.integrations.create(world.caller, "Tracker", "")
    token = AuthField(slug="token", label="Token", type="PASSWORD", required=True)
    await author.integrations.set_auth(world.caller, integration.id, AuthDraft("API_KEY", (token,), None, None, None))
    code = """const headers = {Authorization: `Bearer ${secrets.token}`};
        return await (await fetch('http://tracker.example.com/', {headers})).json()"""
    made = await author.integrations.create_trigger(world.caller, integration.id, TriggerDraft("New", "", code, ()))
    with pytest.raises(Invalid):
        await world.connections.create(world.caller, str(integration.id), "Mine", {"token": ""})
    connection = await world.connections.create(world.caller, str(integration.id), "Mine", {"token": "t0k3n"})
    id_ = await world.create(str(integration.id), made.slug, connection_id=connection.id)
    await world.triggers.enable(world.caller, id_)
    await author.poll()
    return await world.bodies(id_)


async def test_an_integration_can_not_be_used_by_another_organisation(
    store: Store, clock: ManualClock, vault: Vault, world: World, author: Author, user_triggers: UserTriggers
) -> None:
    await author.enabled("return []")
    stranger = await a_world(store, clock, vault, user_providers=user_triggers.providers)
    with pytest.raises(NotFound):
        await stranger.create(str(author.id), "new-ticket")


async def test_an_integration_polled_in_one_batch_with_a_strangers_trigger_is_not_polled_for_him(
    store: Store, clock: ManualClock, vault: Vault, world: World, author: Author, user_triggers: UserTriggers
) -> None:
    id_ = await author.enabled("return [1]")
    stranger = await a_world(store, clock, vault, user_providers=user_triggers.providers)
    async with store.transaction() as tx:
        theirs = await a_trigger(
            tx, stranger.caller.org_id, stranger.project_id, clock.now(), provider_id=str(author.id), trigger_id="new"
        )
        await polls.start(tx, theirs.id, "poll", clock.now(), MINUTE)

    results = await world.poll_due()

    assert sorted(result.code for result in results) == [Code.ACCEPTED, Code.FAILED]
    assert (await world.codes(id_, Kind.POLL), await world.codes(theirs.id, Kind.POLL)) == (
        [Code.ACCEPTED],
        [Code.FAILED],
    )


async def test_what_a_server_says_to_the_code_about_its_quota_is_kept_to(
    store: Store, clock: ManualClock, vault: Vault, user_triggers: UserTriggers
) -> None:
    async with serving(_spent) as server:
        place = ("127.0.0.1", server.port)
        policy = EgressPolicy((ip_network("127.0.0.0/8"),), {("tracker.example.com", 80): place})
        async with Egress(policy) as egress:
            reached = UserTriggers(user_triggers.sandbox, egress)
            author = Author(await a_world(store, clock, vault, user_providers=reached.providers), vault)
            id_ = await author.enabled("return [(await fetch('http://tracker.example.com/')).status]")
            result = await author.poll()
    found = await author.world.clockwork(id_)
    assert (result.code, len(result.events)) == (Code.ACCEPTED, 1)
    assert found.next_at == clock.now() + MINUTE * 10


async def _spent(_: Any, writer: Any) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-ratelimit-remaining: 0\r\nx-ratelimit-reset: 600\r\n\r\n")


async def test_a_poll_begun_with_code_that_was_replaced_meanwhile_stores_nothing(world: World, author: Author) -> None:
    id_ = await author.enabled("return [1]")
    [claimed] = (await world.poller.claim(10)).mine
    [stored] = (await author.integrations.get(world.caller, author.id)).triggers
    draft = TriggerDraft("New Ticket", "", "return [2]", ())
    await author.integrations.replace_trigger(world.caller, author.id, stored.id, draft)

    assert (await world.poller.run(claimed)).code == Code.STALE
    assert await world.keys(id_) == []
    await author.poll()
    assert [body["value"] for body in await world.bodies(id_)] == [2]


async def test_code_that_is_replaced_goes_on_from_where_the_old_one_stopped(world: World, author: Author) -> None:
    id_ = await author.enabled("return [1]")
    await author.poll()
    polled_at = world.clock.now()
    [stored] = (await author.integrations.get(world.caller, author.id)).triggers
    draft = TriggerDraft("New Ticket", "", "return [lastPollTime]", ())
    await author.integrations.replace_trigger(world.caller, author.id, stored.id, draft)
    await author.poll()
    last = (await world.bodies(id_))[-1]["value"]
    assert last.replace(".000Z", "+00:00") == polled_at.isoformat()


async def test_an_organisation_is_a_tenant_of_the_sandbox(
    world: World, author: Author, user_triggers: UserTriggers, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenants = []
    turn = Sandbox._turn

    def noted(sandbox: Sandbox, tenant: Tenant) -> Any:
        tenants.append(tenant)
        return turn(sandbox, tenant)

    monkeypatch.setattr(Sandbox, "_turn", noted)
    await author.enabled("return [1]")
    await author.poll()

    assert tenants == [Tenant(str(world.caller.org_id), world.project_id)]


async def test_deleting_the_code_disables_what_uses_it(world: World, author: Author) -> None:
    id_ = await author.enabled("return [1]")
    [stored] = (await author.integrations.get(world.caller, author.id)).triggers
    await author.integrations.delete_trigger(world.caller, author.id, stored.id)
    world.clock.advance(MINUTE)
    assert await world.poll_due() == []
    assert not (await world.trigger(id_)).enabled
