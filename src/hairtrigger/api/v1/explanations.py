"""The routes for the health of triggers, and for explanations of why something did or did not fire."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from hairtrigger.api.auth import Admitted
from hairtrigger.api.errors import InvalidRequest
from hairtrigger.api.v1.pages import Cursor, Limit, page
from hairtrigger.api.v1.schemas import Explanation, Instant, Page, TriggerHealth
from hairtrigger.domain.errors import Issue, NoSuchTrigger
from hairtrigger.services.explain.explainer import Explainer
from hairtrigger.services.explain.stall_watchdog import StallWatchdog
from hairtrigger.store.explain.trigger_health import Status

At = Annotated[Instant | None, Query(description="A time around which something did or did not happen.")]
Within = Annotated[int, Query(ge=1, le=86_400, description="How many seconds before and after `at` to look at.")]
Key = Annotated[str | None, Query(min_length=1, description="The key of an event.")]


def router(
    routes: APIRouter,
    watchdog: StallWatchdog,
    explainer: Explainer,
) -> APIRouter:
    @routes.get("/project-triggers")
    async def list_health(
        caller: Admitted,
        health: Status | None = None,
        external_user_id: str | None = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[TriggerHealth]:
        """Lists the organisation's triggers with their health, oldest first."""
        found = await watchdog.health(
            caller, limit=limit + 1, after=cursor, status=health, external_user_id=external_user_id
        )
        return page(found, limit, lambda one: TriggerHealth.of(*one))

    @routes.get("/project-triggers/{project_trigger_id}/explain")
    async def explain(
        project_trigger_id: UUID,
        caller: Admitted,
        at: At = None,
        within: Within = 300,
        event: UUID | None = None,
        key: Key = None,
        delivery: UUID | None = None,
    ) -> Explanation:
        """Explains why something did or did not fire: around a time, or with one event, named by its id, its key or a
        delivery.

        Without any of these, explains where the trigger stands, what comes next, and what is in the way.
        """
        given = [name for name, value in (("at", at), ("event", event), ("key", key), ("delivery", delivery)) if value]
        if len(given) > 1:
            message = f"Ask about one thing: at, event, key or delivery; here are {' and '.join(given)}."
            raise InvalidRequest(message, *(Issue(("query", name), message) for name in given[1:]))
        try:
            if at:
                told = await explainer.moment(caller, project_trigger_id, at, timedelta(seconds=within))
            elif event:
                told = await explainer.event(caller, project_trigger_id, event)
            elif key:
                told = await explainer.key(caller, project_trigger_id, key)
            elif delivery:
                told = await explainer.delivery(caller, project_trigger_id, delivery)
            else:
                told = await explainer.state(caller, project_trigger_id)
        except NoSuchTrigger:
            told = await explainer.of_deleted(caller, project_trigger_id)
        return Explanation.of(told)

    return routes
