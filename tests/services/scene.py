"""A world in which requests, polls, firings and deliveries happen at times that a test sets, and are explained."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from hairtrigger.domain.errors import HairtriggerError
from hairtrigger.domain.quotas import Refusal
from hairtrigger.domain.target import Outgoing, Sent
from hairtrigger.kit.incoming import Headers, Request
from hairtrigger.kit.trigger import Provider
from hairtrigger.platform.vault import Vault
from hairtrigger.platform.wake import Wake
from hairtrigger.services.catalogue import catalogue_of
from hairtrigger.services.delivery.dispatcher import Dispatcher
from hairtrigger.services.delivery.hydration import Hydration
from hairtrigger.services.explain.explainer import Explainer, Explanation
from hairtrigger.services.explain.health import Diagnosis
from hairtrigger.services.explain.stall_watchdog import StallWatchdog
from hairtrigger.services.ingest.ingest import Ingest
from hairtrigger.services.ingest.receiver_cache import ReceiverCache
from hairtrigger.services.ingest.refusal_counter import RefusalCounter
from hairtrigger.services.ingest.sender_documents import SenderDocuments
from hairtrigger.services.recorder import Recorder
from hairtrigger.services.tracing import Tracing
from hairtrigger.store.database import Store
from hairtrigger.store.delivery import deliveries
from hairtrigger.store.statements import Statements
from hairtrigger.store.transaction import Transaction
from tests.services.world import DEADLINE, Offline, World, a_world, no_integrations
from tests.support.clock import ManualClock
from tests.support.waiting import until

DELIVERED = Sent("delivered", 200, "The target answered 200.")


async def _nothing(_: Outgoing) -> None:
    pass


@dataclass
class Scene:
    world: World
    ingest: Ingest
    refusals: RefusalCounter
    watchdog: StallWatchdog
    explainer: Explainer
    held: int = 0  # how often a worker left an organisation's deliveries on the queue
    answers: list[Sent] = field(default_factory=lambda: [DELIVERED])  # the target's; the last one is repeated
    received: list[Outgoing] = field(default_factory=list)  # by the target
    before_answer: Callable[[Outgoing], Awaitable[None]] = _nothing

    @property
    def clock(self) -> ManualClock:
        return self.world.clock

    def passes(self, **time: float) -> None:
        self.clock.advance(timedelta(**time))

    async def webhook(self) -> tuple[UUID, str]:
        """Make and enable a trigger; return its id and secret. Requests with the same `id` are the same event."""
        id_ = await self.world.create("webhook", "on_request", {"event_id": "/id"})
        secret = await self.world.triggers.rotate_secret(self.world.caller, id_)
        await self.world.triggers.enable(self.world.caller, id_)
        return id_, secret

    async def request(self, id_: UUID | str, secret: str, key: str | None = None, **more: str) -> None:
        """Send a request; a refusal is counted and not raised."""
        body = json.dumps({"id": key} if key else {}).encode()
        headers = Headers([("x-webhook-secret", secret), ("content-type", "application/json"), *more.items()])
        try:
            await self.ingest.receive(
                str(id_), Request("POST", f"https://hooks.test/{id_}", headers, body, self.clock.now())
            )
        except HairtriggerError as error:
            self.refusals.turned_away(str(id_), error)

    async def poll(self) -> None:
        await self.world.poll_due()

    async def deliver(
        self, over: Callable[[], Awaitable[bool]] | None = None, *, tracing: Tracing | None = None
    ) -> None:
        """Run a worker, which may have traces of its own, until it has done all its work, or until `over`."""
        async with self.world.store.transaction() as tx:
            await deliveries.requeue_due(tx, self.clock.now(), 100)
        dispatcher = Dispatcher(
            store=self.world.store,
            clock=self.clock,
            work=Wake(),
            target_of=lambda _: self,
            triggers=self.world.triggers,
            slots=20,
            jitter=lambda: 0.5,
            counter=self.world.counter,
            hydration=self.hydration,
            holds=self._holds,
            metrics=self.world.metrics,
            tracing=tracing or self.world.tracing,
        )
        loop = asyncio.create_task(dispatcher.run())
        try:
            await until(over or self._delivered)
            await dispatcher.drain(timedelta(hours=1))
        finally:
            while not loop.done():
                loop.cancel()
                await asyncio.wait([loop], timeout=0.1)  # a part that is just ending can miss the cancellation

    @property
    def hydration(self) -> Hydration:
        poller = self.world.poller
        return Hydration(
            store=self.world.store,
            clock=self.clock,
            catalogue=poller.catalogue,
            calls=poller.calls,
            deadline=DEADLINE,
            counter=self.world.counter,
        )

    def _holds(self, org_id: UUID) -> Refusal | None:
        held = self.world.quotas.holds(org_id)
        self.held += held is not None
        return held

    async def send(self, outgoing: Outgoing) -> Sent:
        self.received.append(outgoing)
        await self.before_answer(outgoing)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def why(self, id_: UUID, **question: Any) -> Explanation:
        """Return the explanation for a question; without a question, that of the trigger's health."""
        caller = self.world.caller
        match question:
            case {"at": at}:
                return await self.explainer.moment(caller, id_, at, question.get("within", timedelta(minutes=5)))
            case {"event": event_id}:
                return await self.explainer.event(caller, id_, event_id)
            case {"key": key}:
                return await self.explainer.key(caller, id_, key)
            case {"delivery": delivery_id}:
                return await self.explainer.delivery(caller, id_, delivery_id)
            case _:
                return await self.explainer.state(caller, id_)

    async def summary(self, id_: UUID, **question: Any) -> str:
        return (await self.why(id_, **question)).summary

    def time(self, **ago: float) -> str:
        return format(self.clock.now() - timedelta(**ago), "%H:%M:%S UTC")

    async def _delivered(self) -> bool:
        async with self.world.store.transaction() as tx:
            return await _queued(tx, self.world.caller.org_id) == 0


@asynccontextmanager
async def a_scene(
    store: Store, clock: ManualClock, vault: Vault, *providers: Provider, **outside: Any
) -> AsyncIterator[Scene]:
    """Provide a scene; `outside` is passed to `a_world` by name."""
    world = await a_world(store, clock, vault, *providers, **outside)
    catalogue = catalogue_of(providers, no_integrations)
    diagnosis = Diagnosis(
        clock=clock,
        catalogue=catalogue,
        poll_deadline=DEADLINE,
        schedule_grace=timedelta(minutes=1),
        refusal=world.refusal,
        holds=world.quotas.holds,
    )
    statements, receivers, refusals = (
        Statements(store),
        ReceiverCache(store, world.secrets),
        RefusalCounter(store, clock, lambda: world.disk.full, world.metrics),
    )
    recorder = Recorder(
        statements,
        clock,
        Wake(),
        max_waiting=100,
        max_waiting_bytes=1024 * 1024,
        counter=world.counter,
        metrics=world.metrics,
        tracing=world.tracing,
    )
    ingest = Ingest(
        store=store,
        clock=clock,
        catalogue=catalogue,
        recorder=recorder,
        receivers=receivers,
        refusals=refusals,
        documents=SenderDocuments(store, clock, lambda _: Offline()),
        app_secrets={"github": ["a secret"]},
        refusal=world.refusal,
        metrics=world.metrics,
        tracing=world.tracing,
    )
    tasks = [asyncio.create_task(loop()) for loop in (recorder.run, receivers.run)]
    try:
        yield Scene(
            world,
            ingest,
            refusals,
            StallWatchdog(store=store, clock=clock, diagnosis=diagnosis),
            Explainer(store=store, clock=clock, diagnosis=diagnosis),
        )
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        statements.close()


async def _queued(tx: Transaction, org_id: UUID) -> int:
    """Return how many deliveries are on the queue, except those of other organisations."""
    statement = """
        SELECT count(*) FROM pgmq.q_dispatch
        WHERE message->>'project' NOT IN (SELECT id FROM project WHERE org_id <> :org_id)
    """
    return int((await tx.connection.execute(text(statement), {"org_id": org_id})).scalar_one())
