"""Defines the provider Confluence Cloud. It is polled with CQL, because an app can't register webhooks.

The key of a new page is its id, because a page is created only once. The key of a change also has the page's version.
CQL knows only minutes, in the time zone of the user, and its index lags, so each poll looks back ten minutes.
https://developer.atlassian.com/cloud/confluence/rest/v1/api-group-search/
"""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import Field

from hairtrigger import kit

_WIDEST = timedelta(hours=15)  # how far any time zone is from UTC, for a user who hides the zone


class Space(kit.PollingConfig):
    space: str | None = Field(
        default=None,
        pattern="^~?[A-Za-z0-9]+$",
        title="Space",
        description="The key of the only space to look at.",
        examples=["DOCS"],
    )


class Current(kit.Payload):
    """The connection's user. https://developer.atlassian.com/cloud/confluence/rest/v1/api-group-users/"""

    time_zone: str | None = Field(default=None, alias="timeZone")


def _asked(kind: str, field: str) -> Any:
    async def ask(question: kit.Question[Space], look: kit.Look) -> Any:
        if look.token:
            return await question.api.get(f"wiki{look.token}")
        zone = kit.read(Current, await question.api.get("wiki/rest/api/user/current")).time_zone
        # An hour more, for a time that a change of the clocks makes ambiguous.
        since = (look.since - (timedelta(hours=1) if zone else _WIDEST)).astimezone(ZoneInfo(zone or "UTC"))
        space = f'space = "{question.config.space}" AND ' if question.config.space else ""
        cql = f'{space}type = {kind} AND {field} >= "{since:%Y-%m-%d %H:%M}" ORDER BY {field} ASC'
        expand = "content.version,content.history,content.space"
        return await question.api.get("wiki/rest/api/search", {"cql": cql, "limit": 100, "expand": expand})

    return ask


def _on(kind: str, field: str, id_: str, name: str, description: str) -> kit.Polling[Space]:
    created = kit.Fields(key="/content/id", subject="/content/title", at="/content/history/createdDate")
    changed = kit.Fields(
        key=("/content/id", "/content/version/number"), subject="/content/title", at="/content/version/when"
    )
    ask = _asked(kind, field)

    async def samples(question: kit.Question[Space]) -> Any:
        answer = await question.api.get("wiki/rest/api/search", {"cql": f"type = {kind}", "limit": 3})
        return kit.items_at(answer, "/results")

    return kit.Polling(
        id=id_,
        name=name,
        description=description,
        config=Space,
        poll=kit.Asked(
            ask,
            created if field == "created" else changed,
            timedelta(minutes=10),
            items="/results",
            following="/_links/next",
        ),
        every=timedelta(minutes=5),
        samples=samples,
    )


provider = kit.Provider(
    id="confluence",
    name="Confluence",
    icon="📘",
    base_url="https://{site}.atlassian.net/",
    auth=kit.UserAndPassword("email", "api_token"),
    guide="On id.atlassian.com, under Security, make an API token. Connect with it and the e-mail address of its "
    "account, which must see the spaces. The site is what stands before .atlassian.net.",
    labels={"site": "Site", "email": "E-mail address", "api_token": "API token"},
    check=lambda api: api.get("wiki/rest/api/user/current"),
    triggers=(
        _on("page", "created", "on_page_created", "Page created", "A page was created."),
        _on("page", "lastmodified", "on_page_updated", "Page updated", "A page was created or changed."),
        _on("comment", "created", "on_comment_created", "Comment created", "A user commented on a page."),
        _on("blogpost", "created", "on_blog_post_created", "Blog post created", "A blog post was published."),
    ),
)
