"""Send samples, which show a target what an event looks like. Nothing of them is stored, and none is tried again."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

from pydantic import JsonValue
from pydantic_core import to_json

from hairtrigger.domain.caller import Caller
from hairtrigger.domain.errors import Conflict, NotFound
from hairtrigger.domain.ids import new_id
from hairtrigger.domain.privacy import DROPPED
from hairtrigger.domain.target import Outgoing, Sent, Target
from hairtrigger.platform.clock import Clock
from hairtrigger.store.database import Store
from hairtrigger.store.events import events
from hairtrigger.store.events.events import Event
from hairtrigger.store.setup import projects
from hairtrigger.store.setup.projects import Project

TYPE = "hairtrigger.sample"
DATA: JsonValue = {"message": "This is a sample. Nothing happened."}


@dataclass(frozen=True)
class Sample:
    """The content of a sample.

    A field that is None gets its value from the event, or from a built-in example if there is no event.
    """

    event_id: UUID | None = None
    type: str | None = None
    subject: str | None = None
    data: JsonValue | None = None


@dataclass(frozen=True, kw_only=True)
class Samples:
    store: Store
    clock: Clock
    target_of: Callable[[Project], Target]

    async def send(self, caller: Caller, project_id: str, sample: Sample) -> Sent:
        """Call the project's target once with a sample that is marked as a test, and return how that ended.

        Raise `NotFound` if there is no such project or event, and `Conflict` if the body of the event was dropped and
        the sample has no data.
        """
        async with self.store.transaction() as tx:
            project = await projects.existing(tx, caller.org_id, project_id)
            event = await events.get(tx, caller.org_id, sample.event_id) if sample.event_id else None
            dropped = event and await events.dropped(tx, event.id)
        if sample.event_id and not event:
            raise NotFound("There is no such event.")
        if dropped and sample.data is None:
            raise Conflict(f"{DROPPED} Give the data of the sample.")
        return await self.target_of(project).send(self._outgoing(project, sample, event))

    def _outgoing(self, project: Project, sample: Sample, event: Event | None) -> Outgoing:
        now = self.clock.now()
        id_ = new_id(now)
        made = Outgoing(
            delivery_id=id_,
            event_id=event.id if event else id_,
            attempt=1,
            source=f"/project-triggers/{event.project_trigger_id}" if event else f"/projects/{project.id}",
            type=sample.type or (event.type if event else TYPE),
            subject=sample.subject or (event.subject if event else None),
            time=event.occurred_at if event else now,
            content_type=event.content_type if event else "application/json",
            body=event.body if event else to_json(DATA),
            org_id=project.org_id,
            project_id=project.id,
            project_trigger_id=event.project_trigger_id if event else UUID(int=0),
            event_key=event.key if event else str(id_),
            replay_of=event.id if event else None,
            is_test=True,
        )
        if sample.data is None:
            return made
        return replace(made, content_type="application/json", body=to_json(sample.data))
