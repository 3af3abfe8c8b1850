"""The routes that list, create, show, delete, enable and disable project triggers, and fetch samples for them."""

from uuid import UUID

from fastapi import APIRouter, Security

from hairtrigger.api.auth import Admitted, Authenticator, authenticated_route, oauth2
from hairtrigger.api.stackai.responses import problems
from hairtrigger.api.stackai.schemas import (
    NotedTrigger,
    OrganizationTrigger,
    ProjectTrigger,
    TestSamples,
    TriggerCreate,
    noted,
)
from hairtrigger.domain.errors import InvalidConfig
from hairtrigger.services.accounts import Accounts
from hairtrigger.services.scheduling.schedules import Schedules
from hairtrigger.services.setup.samples import Sampler
from hairtrigger.services.setup.triggers import Triggers

_ALWAYS = (401, 403, 503)


def router(accounts: Accounts, triggers: Triggers, schedules: Schedules, sampler: Sampler) -> APIRouter:
    authenticate = Authenticator(accounts)
    routes = APIRouter(
        tags=["triggers"], route_class=authenticated_route(authenticate), dependencies=[Security(oauth2)]
    )

    @routes.get("/projects/{project_id}/triggers", responses=problems(*_ALWAYS, 404, 422))
    async def get_triggers(project_id: str, caller: Admitted) -> list[ProjectTrigger]:
        """Lists the triggers of a project."""
        return [ProjectTrigger.of(one) for one in await triggers.of_project(caller, project_id)]

    @routes.post("/projects/{project_id}/triggers", status_code=201, responses=problems(*_ALWAYS, 400, 404, 413, 422))
    async def create_trigger(project_id: str, body: TriggerCreate, caller: Admitted) -> NotedTrigger | ProjectTrigger:
        """Creates a trigger of a project. It is disabled, and nothing is asked of its provider before it is enabled."""
        try:
            created = await triggers.create(
                caller,
                project_id,
                body.provider_id,
                body.trigger_id,
                body.config,
                body.connection_id,
                body.name,
                body.privacy.as_domain(),
                body.external_user_id,
            )
        except InvalidConfig as error:
            raise error.inside(body.config_name) from error
        return noted(created, schedules.notes(created))

    @routes.get("/triggers", responses=problems(*_ALWAYS))
    async def get_triggers_by_user_org(caller: Admitted) -> list[OrganizationTrigger]:
        """Lists the triggers of all projects of the caller's organisation."""
        return [OrganizationTrigger.named(one, name) for one, name in await triggers.of_organization(caller)]

    @routes.get("/triggers/{project_trigger_id}", responses=problems(*_ALWAYS, 404, 422))
    async def get_trigger(project_trigger_id: UUID, caller: Admitted) -> ProjectTrigger:
        return ProjectTrigger.of(await triggers.get(caller, project_trigger_id))

    @routes.delete("/triggers/{project_trigger_id}", status_code=204, responses=problems(*_ALWAYS, 404, 409, 422))
    async def delete_trigger(project_trigger_id: UUID, caller: Admitted) -> None:
        """Deletes a trigger, and its webhook at the provider."""
        await triggers.delete(caller, project_trigger_id)

    @routes.post("/triggers/{project_trigger_id}/enable", responses=problems(*_ALWAYS, 400, 404, 409, 422, 502))
    async def enable_trigger(project_trigger_id: UUID, caller: Admitted) -> NotedTrigger | ProjectTrigger:
        """Enables a trigger. Its webhook is registered, or its polls or its clock begin. Nothing happens if it is
        enabled already.
        """
        enabled = await triggers.enable(caller, project_trigger_id)
        return noted(enabled, schedules.notes(enabled))

    @routes.post("/triggers/{project_trigger_id}/disable", responses=problems(*_ALWAYS, 404, 409, 422))
    async def disable_trigger(project_trigger_id: UUID, caller: Admitted) -> ProjectTrigger:
        """Disables a trigger. Its cursor is kept, so a trigger that is enabled again goes on from there."""
        return ProjectTrigger.of(await triggers.disable(caller, project_trigger_id))

    @routes.get(
        "/api/v0/project-triggers/{project_trigger_id}/test-samples",
        responses=problems(*_ALWAYS, 400, 404, 422, 502),
    )
    async def get_trigger_test_samples(project_trigger_id: UUID, caller: Admitted) -> TestSamples:
        """Returns example events, for which the provider is asked now. No cursor moves and nothing is run."""
        found = await sampler.samples(caller, project_trigger_id)
        return TestSamples(samples=found.samples, source=found.source)

    return routes
