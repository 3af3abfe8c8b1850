"""Defines the provider Fireflies. It is polled, because its webhook is set by hand, one for each user.

The key is the transcript's id. A transcript has the date on which its meeting began, and appears when it is written, so
each poll looks back two days. Small plans allow 50 calls a day. https://docs.fireflies.ai/graphql-api/query/transcripts
"""

from datetime import UTC, timedelta
from typing import Any

from pydantic import Field

from hairtrigger import kit

_MEETINGS = """query($from: DateTime, $skip: Int, $limit: Int) {
  transcripts(fromDate: $from, skip: $skip, limit: $limit) {
    id title date dateString duration organizer_email participants transcript_url
    summary { overview action_items keywords } } }"""
_PAGE = 50  # https://docs.fireflies.ai/graphql-api/query/transcripts: the most


class Meetings(kit.PollingConfig):
    organizer: str | None = Field(
        default=None, title="Organizer", description="The e-mail address of the only organizer.", examples=["a@b.com"]
    )


async def _asked(question: kit.Question[Meetings], look: kit.Look) -> Any:
    since = f"{look.since.astimezone(UTC):%Y-%m-%dT%H:%M:%S.000Z}"
    variables = {"from": since, "skip": look.token or 0, "limit": _PAGE}
    return await question.api.graphql("graphql", _MEETINGS, **variables)


async def _samples(question: kit.Question[Meetings]) -> Any:
    return (await question.api.graphql("graphql", _MEETINGS, skip=0, limit=3))["transcripts"]


provider = kit.Provider(
    id="fireflies",
    name="Fireflies",
    icon="🔥",
    base_url="https://api.fireflies.ai/",
    auth=kit.Bearer("api_key"),
    guide="In Fireflies, under Integrations, Fireflies API, take the API key.",
    labels={"api_key": "API key"},
    check=lambda api: api.graphql("graphql", "{ user { user_id } }"),
    triggers=(
        kit.Polling(
            id="on_meeting_transcribed",
            name="Meeting transcribed",
            description="The transcript of a meeting was finished.",
            config=Meetings,
            poll=kit.Asked(
                _asked,
                kit.Fields(key="/id", subject="/title", at="/date", unit="ms"),
                timedelta(days=2),
                items="/transcripts",
                following=lambda _, things, look: (look.token or 0) + len(things) if things else None,
                wanted=lambda thing, config: config.organizer in (None, thing.get("organizer_email")),
            ),
            every=timedelta(minutes=30),
            samples=_samples,
        ),
    ),
)
