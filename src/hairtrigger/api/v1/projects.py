"""The routes for projects and their targets."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from hairtrigger.api.auth import Admitted
from hairtrigger.api.v1.schemas import (
    ChangedProject,
    Deleted,
    NewProject,
    NewSecret,
    Page,
    Project,
    ProjectCreate,
    ProjectUpdate,
    Rotate,
    SampleResult,
    SampleSend,
)
from hairtrigger.domain.lane import default_ceiling
from hairtrigger.services.delivery.samples import Samples
from hairtrigger.services.setup.projects import Projects
from hairtrigger.services.setup.triggers import Triggers
from hairtrigger.services.upkeep.erasures import Erasures


def router(
    routes: APIRouter, projects: Projects, samples: Samples, triggers: Triggers, erasures: Erasures
) -> APIRouter:
    @routes.post("/projects", status_code=201)
    async def create_project(body: ProjectCreate, caller: Admitted) -> NewProject:
        """Creates a project, whose triggers run its target: a workflow behind HTTP, an agent or the log.

        `warnings` says what would keep the service from calling the target.
        """
        ceiling = body.max_inflight or default_ceiling(body.target)
        made, secret = await projects.create(
            caller, body.name, body.target, ceiling, body.api_key, body.order_by, body.rate_limits.as_domain()
        )
        return NewProject.with_secret(made, secret, list(await projects.warnings(caller, made.id, body.target)))

    @routes.get("/projects")
    async def list_projects(caller: Admitted) -> Page[Project]:
        return Page(data=[Project.of(one) for one in await projects.list(caller)])

    @routes.get("/projects/{project_id}")
    async def get_project(project_id: str, caller: Admitted) -> Project:
        return Project.of(await projects.get(caller, project_id))

    @routes.patch("/projects/{project_id}")
    async def update_project(project_id: str, body: ProjectUpdate, caller: Admitted) -> ChangedProject:
        """Changes what is given. Deliveries that wait or are retried go to the new target.

        A masked secret of the target stays as it is. So does the format of a workflow, if none is given.
        """
        order_by = body.order_by if "order_by" in body.model_fields_set else "unchanged"
        limits = body.rate_limits.as_domain() if body.rate_limits else None
        changed = await projects.update(
            caller, project_id, body.name, body.target, body.max_inflight, body.api_key, order_by, limits
        )
        warnings = list(await projects.warnings(caller, project_id, body.target)) if body.target else []
        return ChangedProject.with_warnings(changed, warnings)

    @routes.post("/projects/{project_id}/sample")
    async def send_sample(project_id: str, body: SampleSend, caller: Admitted) -> SampleResult:
        """Calls the target once with a sample, without a provider, and returns the result.

        The request is marked as a test. It is not stored and not tried again.
        """
        return SampleResult.of(await samples.send(caller, project_id, body.sample()))

    @routes.post("/projects/{project_id}/secret")
    async def rotate_project_secret(project_id: str, body: Rotate, caller: Admitted) -> NewSecret:
        """Makes a new signing secret. Until the overlap has passed, deliveries carry the signatures of both secrets."""
        overlap = timedelta(seconds=body.overlap_seconds)
        return NewSecret(secret=await projects.rotate_secret(caller, project_id, overlap))

    @routes.delete("/projects/{project_id}", status_code=204)
    async def delete_project(
        project_id: str,
        caller: Admitted,
        *,
        with_enabled_triggers: Annotated[bool, Query(description="Delete its enabled triggers, too.")] = False,
        keep_history: Annotated[
            bool, Query(description="Keep its events, deliveries and outcomes for as long as others are kept.")
        ] = False,
    ) -> None:
        """Deletes a project with all that is its own. Refused while a trigger is enabled, unless that is asked for.

        The project and its triggers are gone with the answer, their webhooks are removed at the providers, and what
        came of them is deleted in the background: events, deliveries, attempts and outcomes.
        """
        if not keep_history:
            await erasures.delete_project(caller, project_id, with_enabled_triggers=with_enabled_triggers)
            return
        if with_enabled_triggers:
            for trigger in await triggers.of_project(caller, project_id):
                await triggers.delete(caller, trigger.id)
        await projects.delete(caller, project_id)

    @routes.get("/projects/{project_id}/deletion")
    async def preview_project_deletion(project_id: str, caller: Admitted) -> Deleted:
        """What the deletion of the project would delete."""
        return Deleted.of(await erasures.preview(caller, project_id))

    return routes
