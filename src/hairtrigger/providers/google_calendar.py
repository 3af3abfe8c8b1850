"""Defines the provider Google Calendar. It is polled by sync tokens, which list each change once, in the order of
changes.

The key of a new event is its id, because an event is created only once. The key of a change also has `updated`. If
Google has forgotten the token (410), the calendar is read anew, and what changed since the newest change that was seen
counts. https://developers.google.com/workspace/calendar/api/guides/sync
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from hairtrigger import kit

_EARLIER = timedelta(minutes=2)  # how far Google's clock may be behind ours


class Calendar(kit.PollingConfig):
    calendar_id: str = Field(
        default="primary",
        pattern=r"^[\w.@#%+-]+$",
        title="Calendar",
        description="The calendar's id, which its settings show; by default that of the account.",
    )


class Changes(kit.Payload):
    """A page of the calendar's changes.
    https://developers.google.com/workspace/calendar/api/v3/reference/events/list
    """

    items: Sequence[dict[str, Any]] = ()
    page: str | None = Field(default=None, alias="nextPageToken")
    sync: str | None = Field(default=None, alias="nextSyncToken")


async def _asked(question: kit.Question[Calendar], place: kit.Cursor) -> Changes:
    given = {"syncToken": place.get("sync"), "pageToken": place.get("page"), "showDeleted": "true", "maxResults": 250}
    params = {name: value for name, value in given.items() if value}
    path = f"calendar/v3/calendars/{question.config.calendar_id.replace('#', '%23')}/events"
    return kit.read(Changes, await question.api.get(path, params))


def _poll(fields: kit.Fields, wanted: Callable[[Any, datetime], bool]) -> Any:
    async def poll(question: kit.Question[Calendar]) -> kit.Page:
        start = question.enabled_at - _EARLIER
        place = question.cursor or {"newest": start.isoformat()}
        try:
            found = await _asked(question, place)
        except kit.CallRefused:
            if not place.get("sync") and not place.get("page"):
                raise
            place = {"newest": place["newest"], "since": place["newest"]}
            found = await _asked(question, place)
        since = datetime.fromisoformat(place.get("since", start.isoformat())) - _EARLIER
        dated = [(one, _updated(one)) for one in found.items]
        new = [one for one, at in dated if wanted(one, start) and ("sync" in place or (at is not None and at >= since))]
        newest = max([place["newest"], *(at.isoformat() for _, at in dated if at)], key=datetime.fromisoformat)
        cursor = {"newest": newest, "page": found.page, "sync": place.get("sync"), "since": place.get("since")}
        if found.page is None:
            cursor = {"newest": newest, "sync": found.sync}
        kept = {name: value for name, value in cursor.items() if value}
        return kit.Page(fields.drafts(new), kept, more=found.page is not None)

    return poll


def _updated(event: Any) -> datetime | None:
    text = event.get("updated")
    return datetime.fromisoformat(text) if isinstance(text, str) else None


async def _samples(question: kit.Question[Calendar]) -> Any:
    return (await _asked(question, {})).items[-3:]


def _on(id_: str, name: str, description: str, fields: kit.Fields, wanted: Any) -> kit.Polling[Calendar]:
    return kit.Polling(
        id=id_, name=name, description=description, config=Calendar, poll=_poll(fields, wanted), samples=_samples
    )


_DATED = kit.Fields(key=("/id", "/updated"), subject="/id", at="/updated")

provider = kit.Provider(
    id="google_calendar",
    name="Google Calendar",
    icon="📆",
    base_url="https://www.googleapis.com/",
    auth=kit.google("calendar.events.readonly"),
    guide=kit.GOOGLE_GUIDE,
    check=lambda api: api.get("calendar/v3/calendars/primary/events?maxResults=1"),
    triggers=(
        _on("on_event_created", "Event created", "An event was added to a calendar.",
            kit.Fields(key="/id", subject="/id", at="/created"),
            lambda event, start: event.get("status") != "cancelled"
            and datetime.fromisoformat(event.get("created", "1970-01-01T00:00:00Z")) >= start),
        _on("on_event_updated", "Event updated", "An event of a calendar was added or changed.", _DATED,
            lambda event, _: event.get("status") != "cancelled"),
        _on("on_event_cancelled", "Event cancelled", "An event of a calendar was cancelled.",
            kit.Fields(key="/id", subject="/id"), lambda event, _: event.get("status") == "cancelled"),
    ),
)  # fmt: skip
