"""A project or an organisation is deleted with all that is its own, and nothing else, whatever happens meanwhile.

The tables are those that the database has. A table with an organisation's rows that no deletion reaches fails a test.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from hairtrigger.domain.errors import Conflict, NotFound
from hairtrigger.domain.target import LogTarget, Sent
from hairtrigger.kit.config import Config
from hairtrigger.kit.incoming import Headers, Request
from hairtrigger.kit.trigger import Provider, Question, Registration, Webhook
from hairtrigger.kit.verify import Token
from hairtrigger.platform.vault import Vault
from hairtrigger.platform.wake import Wake
from hairtrigger.providers import schedule, webhook
from hairtrigger.services.accounts import Accounts
from hairtrigger.services.delivery.interventions import Interventions
from hairtrigger.services.delivery.pauses import Pauses
from hairtrigger.services.upkeep.erasures import AGAIN, Erasures
from hairtrigger.store import partitions
from hairtrigger.store.database import Store
from hairtrigger.store.delivery import deliveries, replays
from hairtrigger.store.delivery.queue import DeliveryQueue
from hairtrigger.store.events import events
from hairtrigger.store.upkeep import erasures
from tests.services.scene import DELIVERED, Scene, a_scene
from tests.services.world import Killed, dying
from tests.store.build import an_event
from tests.store.claims import claim
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

FAILED = Sent("failed", 500, "The target answered 500.", response=b"what the target said")

# How the rows of an organisation are recognised, by its ids as they were before. Tables whose rows the database itself
# deletes with those of `org` are found by their foreign keys, and need no entry.
HOLDS: Mapping[str, str] = {
    "attempt": "org_id = :org",
    "dead": "org_id = :org",
    "erasure": "org_id = :org",
    "event": "org_id = :org",
    "event_key": "project_trigger_id = ANY(:triggers)",
    "org": "id = :org",
    "org_usage": "org_id = :org",
    "outcome": "org_id = :org OR project_trigger_id = ANY(:triggers)",
    "pause": "id = ANY(:projects) OR id = ANY(CAST(CAST(:triggers AS uuid[]) AS text[]))",
    "q_dispatch": "message->>'project' = ANY(:projects)",
    "replay": "org_id = :org",
    "retry": "message->>'project' = ANY(:projects)",
    "waiting": "project_id = ANY(:projects)",
}
NOBODYS = {
    "a_dispatch": "an archive that is not used",
    "alembic_version": "the version of the schema",
    "meta": "the names of the queues",
    "notify_insert_throttle": "a part of the queue engine that is not used",
    "topic_bindings": "a part of the queue engine that is not used",
    "process": "when processes ran",
    "sender_document": "what senders publish",
    "upkeep": "tasks of the service; the first login is that of the organisation that operates it",
}


class Remote:
    """A provider that keeps its webhooks until it is asked to remove them."""

    def __init__(self) -> None:
        self.hooks: set[str] = set()

    async def create(self, question: Question[Config], url: str, secret: str) -> Registration:
        self.hooks.add(url)
        return Registration({"id": url}, secret)

    async def remove(self, question: Question[Config], url: str) -> None:
        self.hooks.discard(url)

    async def renew(self, *_: Any) -> None:
        raise NotImplementedError


def a_provider(remote: Remote) -> Provider:
    made = Webhook(
        id="on_push",
        name="Push",
        description="",
        config=Config,
        verify=Token("X-Token"),
        events=lambda _: (),
        subscription=remote,
    )
    return Provider(id="forge", name="Forge", triggers=(made,))


@dataclass(frozen=True)
class Owned:
    """The ids of what belongs to an organisation or a project."""

    org: UUID
    projects: list[str]
    triggers: list[UUID]


@pytest.fixture
def remote() -> Remote:
    return Remote()


@pytest.fixture
async def scene(store: Store, clock: ManualClock, vault: Vault, remote: Remote) -> AsyncIterator[Scene]:
    async with a_scene(store, clock, vault, webhook.provider, schedule.provider, a_provider(remote)) as scene:
        yield scene


@pytest.fixture
def erasing(scene: Scene) -> Erasures:
    return Erasures(store=scene.world.store, clock=scene.clock, triggers=scene.world.triggers)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in {"BATCH": 2, "_WINDOW": 3, "TRIGGERS": 1, "PAGES": 1}.items():
        monkeypatch.setattr(erasures, name, size)


@pytest.fixture
def accounts(scene: Scene) -> Accounts:
    return Accounts(store=scene.world.store, clock=scene.clock, token_key=b"")


async def a_full_organization(scene: Scene, *, waits: bool = True) -> Owned:
    """Make an organisation with rows in every table. Unless it `waits`, none of its deliveries is to be made now."""
    world = scene.world
    caller, project_id = world.caller, world.project_id
    second, _ = await world.projects.create(caller, "Second", LogTarget(), max_inflight=5, order_by="trigger")
    hook, secret = await scene.webhook()
    clockwork = await world.enabled("schedule", "on_schedule", {"interval": "1h"})
    pushes = await world.enabled("forge", "on_push")
    for key in ("delivered", "retried", "dead"):
        await scene.request(hook, secret, key)
        scene.passes(seconds=1)
    scene.answers[:] = [DELIVERED, FAILED]
    await scene.deliver()
    failed = [one for one in await world.events(hook) if one.key != "delivered"]
    acting = Interventions(store=world.store, clock=scene.clock, work=Wake())
    await acting.cancel(caller, failed[-1].id)
    await acting.replay(caller, (await world.events(hook))[0].id)
    await scene.request(hook, "wrong")
    await scene.refusals.flush()
    pauses = Pauses(store=world.store, clock=scene.clock, work=Wake())
    await pauses.pause(caller, clockwork)
    scene.passes(days=-1)
    async with world.store.transaction() as tx:  # an event of another day, which waits behind a pause
        await partitions.make_ahead(tx, scene.clock.now().date())
        old = an_event(caller.org_id, project_id, clockwork, "old", scene.clock.now())
        await events.append(tx, [old])
    scene.passes(days=1)
    await claim(world.store, 100, timedelta(days=1), now=scene.clock.now())
    async with world.store.transaction() as tx:
        if not waits:
            await tx.connection.execute(text("UPDATE retry SET run_at = run_at + interval '10 days'"))
        late = [an_event(caller.org_id, project_id, hook, f"late {n}", scene.clock.now()) for n in range(5)]
        if waits:
            await events.append(tx, late)
            await events.append(tx, [an_event(caller.org_id, second.id, pushes, "pushed", scene.clock.now())])
        for statement, more in _ROWS.items():
            given = {
                "org": caller.org_id,
                "project": second.id,
                "trigger": hook,
                "id": uuid4(),
                "now": scene.clock.now(),
            }
            await tx.connection.execute(
                text(statement), {name: value for name, value in given.items() if f":{name}" in statement} | more
            )
    await world.quotas.refresh()
    return Owned(caller.org_id, [project_id, second.id], [hook, clockwork, pushes])


_ROWS: dict[str, dict[str, Any]] = {
    "INSERT INTO app_user VALUES (:id, :org, CAST(CAST(:id AS uuid) AS text), '', false, now())": {},
    "INSERT INTO api_key VALUES (:id, :org, 'Key', 'htk_', uuid_send(CAST(:id AS uuid)), '{}', :id, now())": {},
    "INSERT INTO connection VALUES (:id, :org, 'stripe', 'C', CAST('a' AS bytea), :id, now(), now())": {},
    "INSERT INTO idempotency VALUES (:org, '1', CAST('a' AS bytea), 200, CAST('a' AS bytea), now())": {},
    "INSERT INTO replay_job VALUES (:id, :org, '{}', 1, :project, 'x', now(), :id, :id, 0, NULL, now(), false)": {},
    "INSERT INTO integration (id, org_id, name, description, auth_type, auth_fields, created_at, updated_at) "
    "VALUES (:id, :org, 'I', '', 'NONE', '[]', now(), now())": {},
}


async def tables(store: Store) -> tuple[set[str], set[str]]:
    """Return the tables, and those whose rows the database deletes with the organisation's."""
    async with store.transaction() as tx:
        named = await tx.connection.execute(
            text(
                """
                SELECT table_name FROM information_schema.tables
                WHERE table_schema IN ('public', 'pgmq') AND table_type = 'BASE TABLE' AND NOT EXISTS (
                    SELECT FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE relname = table_name)
                """
            )
        )
        cascading = await tx.connection.execute(
            text(
                """
                WITH RECURSIVE owned AS (
                    SELECT CAST('org' AS regclass) AS id
                    UNION
                    SELECT conrelid FROM owned JOIN pg_constraint ON confrelid = owned.id
                    WHERE contype = 'f' AND confdeltype = 'c'
                ) SELECT relname FROM owned JOIN pg_class ON pg_class.oid = owned.id WHERE relname <> 'org'
                """
            )
        )
        return set(named.scalars()), set(cascading.scalars())


async def rows(store: Store, owned: Owned) -> dict[str, int]:
    """Count the rows of an organisation, or of the projects and triggers if there is no organisation, in each table."""
    found = {}
    async with store.transaction() as tx:
        for table, condition in HOLDS.items():
            name = f"pgmq.{table}" if table == "q_dispatch" else table
            given = {key: value for key, value in vars(owned).items() if f":{key}" in condition}
            counted = await tx.connection.execute(text(f"SELECT count(*) FROM {name} WHERE {condition}"), given)
            found[table] = int(counted.scalar_one())
    return found


async def everything(store: Store) -> dict[str, int]:
    async with store.transaction() as tx:
        found = {}
        for table in sorted(set(HOLDS) | (await tables(store))[1]):
            name = f"pgmq.{table}" if table == "q_dispatch" else table
            counted = await tx.connection.execute(text(f"SELECT count(*) FROM {name}"))
            found[table] = int(counted.scalar_one())
        return found


async def finish(erasing: Erasures, scene: Scene) -> None:
    """Delete until nothing is due, then what is due when nothing can be under way any more, and so on to the end."""
    for _ in range(2):
        while await erasing.run_due():
            pass
        while await scene.world.webhook_removals.run_due():
            pass
        scene.passes(seconds=30)
        while await erasing.run_due():
            pass
        scene.clock.advance(AGAIN)
    while await erasing.run_due():
        pass


async def test_every_table_is_reached_by_the_deletion_of_an_organisation(store: Store) -> None:
    every, cascading = await tables(store)
    assert every - cascading - HOLDS.keys() - NOBODYS.keys() == set(), (
        "Rows of an organisation in these tables stay when it is deleted. Give the table a foreign key to `org` that "
        "cascades, or let `store/upkeep/erasures.py` delete them and add it to HOLDS; or say in NOBODYS why."
    )
    assert HOLDS.keys() - every == set()


async def test_nothing_of_a_deleted_organisation_is_left_and_nothing_else_is_touched(
    store: Store, scene: Scene, vault: Vault, accounts: Accounts, erasing: Erasures, remote: Remote, small_batches: None
) -> None:
    async with a_scene(store, scene.clock, vault, webhook.provider, schedule.provider, a_provider(remote)) as other:
        neighbour = await a_full_organization(other, waits=False)
    theirs, hooks = await rows(store, neighbour), set(remote.hooks)
    before = await everything(store)
    async with a_scene(store, scene.clock, vault, webhook.provider, schedule.provider, a_provider(remote)) as made:
        owned = await a_full_organization(made)

    there = await rows(store, owned)
    assert [table for table, count in there.items() if not count and table != "erasure"] == []
    assert len(remote.hooks) == 2

    await accounts.delete_organization(owned.org, "Org", "a test")
    assert (await rows(store, owned))["erasure"] == 1
    await finish(erasing, scene)

    assert await rows(store, owned) == dict.fromkeys(HOLDS, 0)
    assert await rows(store, neighbour) == theirs
    assert await everything(store) == before
    assert remote.hooks == hooks


async def test_a_deletion_goes_on_after_every_kill(
    store: Store, scene: Scene, vault: Vault, accounts: Accounts, erasing: Erasures, small_batches: None
) -> None:
    owned = await a_full_organization(scene)
    await accounts.delete_organization(owned.org, "Org", "a test")

    kills = 0
    for _ in range(3):
        more = True
        while more:
            store_of_a_process = dying(store, at=2)  # the first batch is done, and the second one is lost
            process = replace(erasing, store=store_of_a_process)
            try:
                while more:
                    more = await process.run_due()
            except Killed:
                kills += 1
        while await scene.world.webhook_removals.run_due():
            pass
        scene.clock.advance(AGAIN)

    assert kills > 20
    assert await rows(store, owned) == dict.fromkeys(HOLDS, 0)


async def test_what_is_under_way_ends_without_a_trace(
    store: Store, scene: Scene, accounts: Accounts, erasing: Erasures
) -> None:
    hook, secret = await scene.webhook()
    await scene.request(hook, secret, "under way")
    _, claimed = await claim(store, 1, timedelta(seconds=30), now=scene.clock.now())
    await accounts.delete_organization(scene.world.caller.org_id, "Org", "a test")
    while await erasing.run_due():
        pass

    now = scene.clock.now()
    attempt = deliveries.Attempt(
        claimed[0].message, scene.world.caller.org_id, "failed", 500, "", b"", None, now, now, retry_at=now
    )
    async with store.transaction() as tx:
        counted, _ = await deliveries.finish(tx, [attempt])
    with closing(DeliveryQueue(store)) as queue:
        ended = await deliveries.finish_at_once(queue, [replace(attempt, status="delivered", retry_at=None)])
    assert (counted, ended.counted, ended.left) == ([], [], [])
    with pytest.raises(NotFound, match="There is no such webhook"):
        await _sent(scene, hook, secret)
    scene.world.counter.ledger(scene.world.caller.org_id, 1)
    await scene.world.quotas.refresh()
    await finish(erasing, scene)
    owned = Owned(scene.world.caller.org_id, [scene.world.project_id], [hook])
    assert await rows(store, owned) == dict.fromkeys(HOLDS, 0)


async def _sent(scene: Scene, hook: UUID, secret: str) -> None:
    headers = Headers([("x-webhook-secret", secret), ("content-type", "application/json")])
    request = Request("POST", f"https://hooks.test/{hook}", headers, b"{}", scene.clock.now())
    await scene.ingest.receive(str(hook), request)


TOLD = {"operational_event": 3, "notice": 2, "told_state": 2}
"""The tables of what is told, with the number of rows that `was_told` adds to each."""


async def was_told(store: Store, org: UUID, project: str, trigger: UUID) -> None:
    """Store rows that say something of a project and of its trigger."""
    event = "INSERT INTO operational_event VALUES (:id, :org, 'trigger.failing', now(), 'It fails.', {}, {}, '{{}}')"
    notice = (
        "INSERT INTO notice VALUES (:org, 'delivery.dead', :subject, 1, now(), 'It is dead.', NULL, '{}', '{}', NULL)"
    )
    state = "INSERT INTO told_state VALUES ('target', :org, :subject, 'failing', now(), now(), true)"
    async with store.transaction() as tx:
        for of in ((":project", "NULL"), ("NULL", ":trigger"), (":project", ":trigger")):
            statement = event.format(*of)
            given = {"id": uuid4(), "org": org, "project": project, "trigger": trigger}
            await tx.connection.execute(
                text(statement), {key: one for key, one in given.items() if f":{key}" in statement}
            )
        for subject in (project, str(trigger)):
            for statement in (notice, state):
                await tx.connection.execute(text(statement), {"org": org, "subject": subject})


async def test_a_project_is_deleted_alone(
    store: Store, scene: Scene, vault: Vault, erasing: Erasures, small_batches: None
) -> None:
    owned = await a_full_organization(scene)
    caller = scene.world.caller
    mine, other = owned.projects
    with pytest.raises(Conflict, match="3 enabled triggers"):
        await erasing.delete_project(caller, mine)
    found = await erasing.preview(caller, mine)
    assert (found.projects, found.triggers, found.connections, found.events) == (1, 3, 0, 9)

    await was_told(store, owned.org, mine, owned.triggers[0])
    await was_told(store, owned.org, other, uuid4())
    async with store.transaction() as tx:
        before = {
            table: (await tx.connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() for table in TOLD
        }

    await erasing.delete_project(caller, mine, with_enabled_triggers=True)
    with pytest.raises(NotFound):
        await erasing.preview(caller, mine)
    await finish(erasing, scene)

    async with store.transaction() as tx:
        for table, count in TOLD.items():
            kept = (await tx.connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()
            assert kept == before[table] - count, table

    of_project = Owned(uuid4(), [mine], owned.triggers)
    left = await rows(store, of_project)
    assert {table: count for table, count in left.items() if count} == {}
    async with store.transaction() as tx:
        kept = await tx.connection.execute(text("SELECT project_id FROM event"))
        assert set(kept.scalars()) == {other}
        assert [one.id for one in await scene.world.projects.list(caller)] == [other]
        for table in ("attempt", "replay", "dead", "retry"):
            assert (await tx.connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() == 0


async def test_a_replay_to_another_project_is_taken_off_its_lane(store: Store, scene: Scene, erasing: Erasures) -> None:
    hook, secret = await scene.webhook()
    await scene.request(hook, secret, "one")
    world = scene.world
    other, _ = await world.projects.create(world.caller, "Other", LogTarget(), max_inflight=1)
    [event] = await world.events(hook)
    async with store.transaction() as tx:
        await replays.add(tx, [event, event], "test", scene.clock.now(), to_project=other.id)
    await claim(store, 10, timedelta(seconds=30), now=scene.clock.now())
    async with store.transaction() as tx:
        assert (await tx.connection.execute(text("SELECT sum(inflight) FROM lane"))).scalar_one() == 2

    await erasing.delete_project(world.caller, world.project_id, with_enabled_triggers=True)
    await finish(erasing, scene)

    async with store.transaction() as tx:
        assert (await tx.connection.execute(text("SELECT sum(inflight) FROM lane"))).scalar_one() == 0
        assert (await tx.connection.execute(text("SELECT count(*) FROM pgmq.q_dispatch"))).scalar_one() == 0


async def test_who_operates_the_service_stays_and_the_name_confirms(scene: Scene, accounts: Accounts) -> None:
    operating, _ = await accounts.create_organization("Ours", "us@example.com", "correct horse battery", operator=True)
    theirs, _ = await accounts.create_organization("Theirs", "them@example.com", "correct horse battery")
    with pytest.raises(Conflict, match="operates the service"):
        await accounts.delete_organization(operating.id, "Ours", "a test")
    with pytest.raises(Conflict, match="give the organisation's name"):
        await accounts.delete_organization(theirs.id, "Ours", "a test")
    begun = await accounts.delete_organization(theirs.id, "Theirs", "a test")
    assert await accounts.delete_organization(theirs.id, "Theirs", "again") == begun
    with pytest.raises(Conflict, match="being deleted"):
        await accounts.add_user(theirs.id, "new@example.com", "correct horse battery")


async def test_a_user_goes_with_the_keys_that_the_user_made(scene: Scene, accounts: Accounts) -> None:
    organization, first = await accounts.create_organization("Org", "a@example.com", "correct horse battery")
    with pytest.raises(Conflict, match="only user of the organisation"):
        await accounts.remove_user("a@example.com")
    await accounts.add_user(organization.id, "b@example.com", "correct horse battery")
    caller = replace(scene.world.caller, org_id=organization.id, id=first.id)
    _, value = await accounts.create_key(caller, "Key", caller.scopes)
    assert (await accounts.by_key(value)).id == first.id

    await accounts.remove_user("a@example.com")

    assert await accounts.keys(organization.id) == []
    assert [one.email for one in await accounts.users_of(caller)] == ["b@example.com"]
