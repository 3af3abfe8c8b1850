"""The routes that start, show and cancel replays of many events."""

from uuid import UUID

from fastapi import APIRouter

from hairtrigger.api.auth import Admitted
from hairtrigger.api.v1.pages import Cursor, Limit, page
from hairtrigger.api.v1.schemas import Page, Replay, ReplayCreate, ReplayPreview
from hairtrigger.services.delivery.replays import Replays


def router(routes: APIRouter, replays: Replays) -> APIRouter:
    @routes.post("/replays", status_code=201)
    async def create_replay(body: ReplayCreate, caller: Admitted) -> Replay:
        """Delivers many events once more, oldest first and at a rate. It takes the events of the deliveries that match.

        The replay is a job that goes on by itself, also after a restart. Each event is replayed once, under a new
        delivery id. Without a status, dead letters are replayed. An event that is still on its way is not sent twice:
        the next attempt of its delivery is made now.
        """
        return Replay.of(await replays.start(caller, body.query(), body.per_second, body.to_project_id))

    @routes.post("/replays/preview")
    async def preview_replay(body: ReplayCreate, caller: Admitted) -> ReplayPreview:
        """Counts the events that match now, and replays nothing. `total` is null if counting would take too long."""
        query = body.query()
        return ReplayPreview(query=query.stored(), total=await replays.preview(caller, query, body.to_project_id))

    @routes.get("/replays")
    async def list_replays(caller: Admitted, limit: Limit = 50, cursor: Cursor = None) -> Page[Replay]:
        """Lists replays, newest first."""
        found = await replays.list(caller, limit=limit + 1, before=cursor)
        return page(found, limit, Replay.of)

    @routes.get("/replays/{replay_id}")
    async def get_replay(replay_id: UUID, caller: Admitted) -> Replay:
        """Returns a replay, with how far it has come."""
        return Replay.of(await replays.get(caller, replay_id))

    @routes.post("/replays/{replay_id}/cancel")
    async def cancel_replay(replay_id: UUID, caller: Admitted) -> Replay:
        """Ends a replay early. Deliveries that it has made already stay on their way."""
        return Replay.of(await replays.cancel(caller, replay_id))

    return routes
