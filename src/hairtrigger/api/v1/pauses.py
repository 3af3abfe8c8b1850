"""The routes that pause a project or one of its triggers, and that handle the deliveries that are suspended
meanwhile.
"""

from uuid import UUID

from fastapi import APIRouter

from hairtrigger.api.auth import Admitted
from hairtrigger.api.v1.schemas import Moved, Paused, Suspended
from hairtrigger.services.delivery.pauses import Pauses


def router(routes: APIRouter, pauses: Pauses) -> APIRouter:
    @routes.post("/projects/{project_id}/pause")
    async def pause_project(project_id: str, caller: Admitted) -> Paused:
        """Pauses a project. Its events are accepted as before, and their deliveries are suspended."""
        await pauses.pause(caller, project_id)
        return Paused(paused=True)

    @routes.post("/projects/{project_id}/resume")
    async def resume_project(project_id: str, caller: Admitted) -> Paused:
        """Ends the pause of a project. Its suspended deliveries come first, oldest first."""
        await pauses.resume(caller, project_id)
        return Paused(paused=False)

    @routes.post("/projects/{project_id}/suspended/release")
    async def release_project(project_id: str, body: Suspended, caller: Admitted) -> Moved:
        """Delivers some of the project's suspended deliveries, oldest first. The pause goes on."""
        return Moved(count=await pauses.release(caller, project_id, body.limit, body.delivery_ids))

    @routes.post("/projects/{project_id}/suspended/discard")
    async def discard_project(project_id: str, body: Suspended, caller: Admitted) -> Moved:
        """Ends some of the project's suspended deliveries as dead letters, oldest first. Their events can still be
        replayed.
        """
        return Moved(count=await pauses.discard(caller, project_id, body.limit, body.delivery_ids))

    @routes.post("/project-triggers/{project_trigger_id}/pause")
    async def pause_trigger(project_trigger_id: UUID, caller: Admitted) -> Paused:
        """Pauses a trigger. It stays enabled, so its events are accepted as before, and their
        deliveries are suspended.
        """
        await pauses.pause(caller, project_trigger_id)
        return Paused(paused=True)

    @routes.post("/project-triggers/{project_trigger_id}/resume")
    async def resume_trigger(project_trigger_id: UUID, caller: Admitted) -> Paused:
        """Ends the pause of a trigger. Its suspended deliveries come first, oldest first."""
        await pauses.resume(caller, project_trigger_id)
        return Paused(paused=False)

    @routes.post("/project-triggers/{project_trigger_id}/suspended/release")
    async def release_trigger(project_trigger_id: UUID, body: Suspended, caller: Admitted) -> Moved:
        """Delivers some of the trigger's suspended deliveries, oldest first. The pause goes on."""
        return Moved(count=await pauses.release(caller, project_trigger_id, body.limit, body.delivery_ids))

    @routes.post("/project-triggers/{project_trigger_id}/suspended/discard")
    async def discard_trigger(project_trigger_id: UUID, body: Suspended, caller: Admitted) -> Moved:
        """Ends some of the trigger's suspended deliveries as dead letters, oldest first. Their events can still be
        replayed.
        """
        return Moved(count=await pauses.discard(caller, project_trigger_id, body.limit, body.delivery_ids))

    return routes
