"""A stored value comes back equal, for every value that may come from outside."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, text

from hairtrigger.domain.errors import Invalid
from hairtrigger.domain.event import Draft
from hairtrigger.domain.instants import FIRST, LAST, instant
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.services.recorder import event_from
from hairtrigger.store.database import Store
from hairtrigger.store.events import events, outcomes, request_batches
from hairtrigger.store.events.events import Event
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.events.request_batches import Write
from hairtrigger.store.explain import event_traces
from hairtrigger.store.polling import polls
from hairtrigger.store.setup.triggers import ProjectTrigger, TriggerWithVersion, by_ids
from hairtrigger.store.statements import Statements
from hairtrigger.store.tables import upkeep
from tests.store.build import a_project, a_trigger, an_organization
from tests.store.claims import claim

pytestmark = pytest.mark.anyio

NOW = datetime.now(UTC).replace(microsecond=0)
in_utc = st.datetimes(timezones=st.just(UTC))
anywhere = st.datetimes(
    timezones=st.one_of(st.none(), st.just(UTC), st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone))
)
texts = st.text(st.characters(), max_size=700)  # also with NUL and half surrogates
numbers = st.one_of(st.integers(), st.floats(-1e15, 1e15))  # JSON writes larger floats as integers
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
on_a_store = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
ENDS = [FIRST, FIRST + timedelta(microseconds=1), LAST - timedelta(microseconds=1), LAST]


@pytest.fixture
async def statements(store: Store) -> AsyncIterator[Statements]:
    made = Statements(store)
    yield made
    made.close()


@pytest.fixture
async def trigger(store: Store) -> TriggerWithVersion:
    async with store.transaction() as tx:
        org_id = await an_organization(tx, NOW)
        made = await a_trigger(tx, org_id, await a_project(tx, org_id, NOW, max_inflight=10_000), NOW)
        await polls.start(tx, made.id, "poll", NOW, timedelta(minutes=1))
        return (await by_ids(tx, [made.id]))[made.id]  # read again with its version


def same(found: datetime, expected: datetime) -> bool:
    return found == expected and found.tzinfo is not None and found.utcoffset() == timedelta()


@given(given_=st.lists(in_utc, min_size=1))
@example(given_=ENDS)
@on_a_store
async def test_every_instant_comes_back_equal_and_aware(
    store: Store, statements: Statements, given_: list[datetime]
) -> None:
    """The two ways to the database, transactions and statements, agree for values, arrays, columns and filters."""
    rows: list[dict[str, Any]] = [{"task": str(uuid4()), "next_at": one, "state": {}} for one in given_]
    async with store.transaction() as tx:
        await tx.connection.execute(insert(upkeep), rows)
        for row in rows:
            found = select(upkeep.c.next_at).where(upkeep.c.task == row["task"], upkeep.c.next_at <= row["next_at"])
            assert same((await tx.connection.execute(found)).scalar_one(), row["next_at"])
        await tx.connection.execute(upkeep.delete())
    array = (await statements.row("SELECT $1::timestamptz[]", given_))[0]
    assert all(same(found, one) for found, one in zip(array, given_, strict=True))
    ordered = (await statements.row("SELECT array_agg(at ORDER BY at) FROM unnest($1::timestamptz[]) AS at", given_))[0]
    assert ordered == sorted(given_)


async def test_what_an_earlier_version_stored_as_infinite_is_the_end_of_the_calendar(statements: Statements) -> None:
    stored = ["-infinity", "4713-01-01 BC", "infinity", "9999-12-31 23:59:60Z"]
    [row] = await statements.row("SELECT CAST($1::text[] AS timestamptz[])", stored)
    assert all(same(found, end) for found, end in zip(row, [FIRST, FIRST, LAST, LAST], strict=True))


def drafts() -> st.SearchStrategy[Draft]:
    return st.builds(
        Draft,
        key=texts,
        data=st.binary(max_size=50),
        type=st.one_of(st.none(), texts),
        subject=st.one_of(st.none(), texts),
        occurred_at=st.one_of(st.none(), anywhere),
        content_type=texts,
    )


@given(drafts())
@example(Draft("a", b"", occurred_at=FIRST))
@example(Draft("a", b"", occurred_at=LAST))
@example(Draft("a", b"", occurred_at=datetime.min))  # noqa: DTZ901 as a provider's file may make it
@example(Draft("a", b"", occurred_at=datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))))
@example(Draft("\ud800\0", b"\0", "\ud800\0", "\ud800\0", None, "\ud800\0"))
@on_a_store
async def test_every_draft_becomes_an_event_that_every_reader_finds_as_it_was_stored(
    store: Store, statements: Statements, trigger: TriggerWithVersion, draft: Draft
) -> None:
    """Polls and requests store a draft alike, and the delivery that is made of it holds the same event."""
    polled = event_from(trigger, draft, NOW)
    async with store.transaction() as tx:
        assert await events.append(tx, [polled]) == {polled.id}
    _, claimed = await claim(store, 10, timedelta(seconds=30))
    async with store.transaction() as tx:
        await _agrees(tx, polled)
        await _forget(tx)
    [one] = claimed
    assert one.event == polled
    requested = event_from(trigger, draft, NOW)
    assert await request_batches.write(statements, [Write([requested], [trigger.version])], NOW) == [[requested]]
    async with store.transaction() as tx:
        await _agrees(tx, requested)
        await _forget(tx)


async def _agrees(tx: Any, event: Event) -> None:
    found = await events.get(tx, event.org_id, event.id)
    trace = await event_traces.get(tx, event.project_trigger_id, event.id)
    assert found == event
    assert trace
    assert same(found.occurred_at, event.occurred_at)
    assert (trace.key, trace.type, trace.subject) == (event.key, event.type, event.subject)
    assert same(trace.occurred_at, event.occurred_at)


async def _forget(tx: Any) -> None:
    for table in ("event", "event_key", "waiting", "pgmq.q_dispatch"):
        await tx.connection.execute(text(f"DELETE FROM {table}"))
    await tx.connection.execute(text("UPDATE lane SET inflight = 0"))


@given(anywhere)
def test_an_event_s_time_is_the_instant_of_its_draft(occurred_at: datetime) -> None:
    trigger = ProjectTrigger(
        id=UUID(int=1), org_id=UUID(int=2), project_id="p", connection_id=None, provider_id="p", trigger_id="t",
        config={}, enabled=True, enabled_at=NOW, generation=1, webhook_data=None, secrets=None, created_by=UUID(int=3),
        created_at=NOW, updated_by=None, updated_at=NOW,
    )  # fmt: skip
    assert event_from(trigger, Draft("k", b"", occurred_at=occurred_at), NOW).occurred_at == instant(occurred_at)


@given(st.dictionaries(texts, values, max_size=4), texts)
@example({"\0": "\0", "\ud800": [float("nan"), float("inf"), -0.0, 5e-324, 2**200]}, "\ud800\0")
@example({"\\u0000": "\\\0"}, "")
@on_a_store
async def test_any_cursor_and_any_error_of_a_poll_is_stored(
    store: Store, trigger: ProjectTrigger, cursor: dict[str, Any], error: str
) -> None:
    async with store.transaction() as tx:
        await polls.set_cursor(tx, trigger.id, cursor)
        at_first = await polls.get(tx, trigger.id)
        lease = uuid4()
        await polls.set_due(tx, [polls.Due(trigger.id, NOW, lease, NOW)])
        made = polls.Progress(trigger.id, lease, cursor, ended=True, next_at=NOW, error=error)
        assert await polls.progress(tx, [made]) == {lease}
        found = await polls.get(tx, trigger.id)
    assert at_first
    assert found
    assert found.cursor == at_first.cursor
    if "\\u0000" not in json.dumps(cursor) and _plain(cursor):
        assert found.cursor == cursor


def _plain(value: Any) -> bool:
    """Return whether a value is JSON without half surrogates."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        return False
    return True


@given(texts)
@example("\0\ud800")
@on_a_store
async def test_any_sentence_of_an_outcome_is_stored(store: Store, trigger: ProjectTrigger, detail: str) -> None:
    async with store.transaction() as tx:
        await outcomes.record(tx, Outcome(Kind.POLL, Code.FAILED, NOW, trigger.org_id, trigger.id, detail))
        [found] = await outcomes.of_trigger(tx, trigger.id, limit=1)
        await tx.connection.execute(text("DELETE FROM outcome"))
    assert found.detail == detail.replace("\0", "").encode(errors="replace").decode()


@pytest.mark.parametrize("deep", ["[" * 50_000 + "]" * 50_000])
async def test_what_is_beyond_a_limit_of_the_database_is_told_as_the_value_s_fault(store: Store, deep: str) -> None:
    """Such an error is no fault of this service, and another try would not help."""
    with pytest.raises(Invalid, match="too deeply nested"):
        async with store.transaction() as tx:
            await tx.connection.execute(text("SELECT CAST(CAST(:deep AS text) AS jsonb)"), {"deep": deep})
    long = "".join(str(uuid4()) for _ in range(1000))
    with pytest.raises(Invalid, match="too long for an index"):
        async with store.transaction() as tx:
            await tx.connection.execute(insert(upkeep), [{"task": long, "next_at": NOW, "state": {}}])
