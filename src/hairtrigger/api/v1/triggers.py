"""The routes for project triggers that the public API lacks, such as for due times, signing secrets and polls
at once.
"""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from hairtrigger.api.auth import Admitted
from hairtrigger.api.privacy import Privacy
from hairtrigger.api.stackai.schemas import ProjectTrigger
from hairtrigger.api.v1.responses import problems
from hairtrigger.api.v1.schemas import (
    Clockwork,
    Enabling,
    Health,
    NewSecret,
    Outcome,
    Page,
    PollResult,
    RotateTriggerSecret,
    StartFrom,
    StartPreview,
    Subscription,
    Sweep,
    ToldToken,
    TriggerUpdate,
    as_start,
)
from hairtrigger.domain.errors import InvalidConfig
from hairtrigger.services.delivery.pauses import Pauses
from hairtrigger.services.explain.stall_watchdog import StallWatchdog
from hairtrigger.services.ingest.told_tokens import ToldTokens
from hairtrigger.services.polling.poller import Poller
from hairtrigger.services.scheduling.schedules import Schedules
from hairtrigger.services.setup.triggers import Triggers


def router(
    routes: APIRouter,
    triggers: Triggers,
    poller: Poller,
    schedules: Schedules,
    pauses: Pauses,
    watchdog: StallWatchdog,
    tokens: ToldTokens,
) -> APIRouter:
    @routes.get("/project-triggers/{project_trigger_id}")
    async def get_clockwork(project_trigger_id: UUID, caller: Admitted) -> Clockwork:
        """Returns when the trigger is due, how far it has come, and how its latest requests, polls and
        firings ended.
        """
        trigger, found, subscription, ended = await triggers.clockwork(caller, project_trigger_id)
        poll, sweep = (None, found) if found and found.sweep else (found, None)
        return Clockwork(
            id=trigger.id,
            name=trigger.name,
            status="ENABLED" if trigger.enabled else "DISABLED",
            health=Health.of(await watchdog.health_of(caller, project_trigger_id, ended)),
            paused=await pauses.is_paused(caller, project_trigger_id),
            external_user_id=trigger.external_user_id,
            webhook_url=triggers.own_webhook_url(trigger),
            repeats=triggers.repeats_of(trigger),
            privacy=Privacy.of(trigger.privacy),
            next_at=poll.next_at if poll else None,
            upcoming=schedules.upcoming(trigger),
            notes=schedules.notes(trigger),
            last_at=poll.last_at if poll else None,
            failures_in_a_row=poll.failures if poll else 0,
            failing_since=poll.failing_since if poll else None,
            last_error=poll.error if poll else None,
            sweep=Sweep.of(sweep) if sweep and sweep.next_at else None,
            subscription=Subscription.of(subscription) if subscription else None,
            outcomes=[Outcome.of(one) for one in ended],
        )

    @routes.patch("/project-triggers/{project_trigger_id}", responses=problems(502))
    async def update_project_trigger(project_trigger_id: UUID, body: TriggerUpdate, caller: Admitted) -> ProjectTrigger:
        """Changes a trigger. It keeps its cursor, its event keys, its address and its signing secret.

        An enabled trigger goes on with what is new. It polls at once, fires by its new schedule, or is registered again
        at its provider where that is necessary. If the provider refuses, nothing is changed, except that a trigger
        whose webhook has to be made anew is disabled, and its outcome says why.
        """
        try:
            return ProjectTrigger.of(await triggers.change(caller, project_trigger_id, body.changes()))
        except InvalidConfig as error:
            raise error.inside("trigger_config") from error

    @routes.post("/project-triggers/{project_trigger_id}/enable", responses=problems(502))
    async def enable_from(project_trigger_id: UUID, body: Enabling, caller: Admitted) -> ProjectTrigger:
        """Enables a trigger, and says from which time on its events count.

        Without a start it is as `POST /triggers/{id}/enable`. With one, what happened since then is started, too,
        except for events that are stored already. If these are very many, nothing is enabled until that is confirmed.
        """
        enabled = await triggers.enable(caller, project_trigger_id, start=body.as_domain(), confirmed=body.confirm)
        return ProjectTrigger.of(enabled)

    @routes.get("/project-triggers/{project_trigger_id}/start", responses=problems(502))
    async def preview_start(
        project_trigger_id: UUID, caller: Admitted, start: Annotated[StartFrom, Query()] = "now"
    ) -> StartPreview:
        """Counts the events that would start at once if the trigger were enabled with this start. The provider is asked
        now, and nothing is stored.
        """
        return StartPreview.of(await triggers.preview(caller, project_trigger_id, as_start(start)))

    @routes.post("/project-triggers/{project_trigger_id}/poll", responses=problems(502))
    async def poll_now(project_trigger_id: UUID, caller: Admitted) -> PollResult:
        """Polls at once, as if the trigger were due, and returns the result. The cursor moves.

        A trigger that gets requests is swept, if its provider has a list.
        """
        return PollResult.of(await poller.poll_now(caller, project_trigger_id))

    @routes.post("/project-triggers/{project_trigger_id}/secret")
    async def rotate_trigger_secret(project_trigger_id: UUID, body: RotateTriggerSecret, caller: Admitted) -> NewSecret:
        """Sets a new signing secret for the requests to a webhook trigger, and returns it. The old one stays valid for
        the overlap.
        """
        overlap = timedelta(seconds=body.overlap_seconds)
        secret = await triggers.rotate_secret(caller, project_trigger_id, body.secret, overlap)
        return NewSecret(secret=secret)

    @routes.get("/project-triggers/{project_trigger_id}/tokens")
    async def list_told_tokens(project_trigger_id: UUID, caller: Admitted, response: Response) -> Page[ToldToken]:
        """The tokens that the sender told with its handshakes, last one first, such as Notion's verification token.

        The token is to be entered at the sender, and is often the signing secret of its requests. The last three are
        kept, for seven days. Anybody that knows the address can send one: take the one that came when you asked for it.
        """
        response.headers["Cache-Control"] = "no-store"
        return Page(data=[ToldToken.of(one) for one in await tokens.of_trigger(caller, project_trigger_id)])

    return routes
