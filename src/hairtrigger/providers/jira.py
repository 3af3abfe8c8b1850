"""Defines the provider Jira Cloud. It is polled with JQL, because an app's webhooks need OAuth, and an administrator's
webhooks are made by hand.

The key of a new issue is its id, because an issue is created only once. The key of a change also has `updated`. JQL
knows only minutes, in the time zone of the user, and its index lags, so each poll looks back five minutes.
https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issue-search/
"""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import Field

from hairtrigger import kit


class Issues(kit.PollingConfig):
    jql: str | None = Field(
        default=None,
        max_length=2000,
        title="Filter",
        description="JQL that the issues must match, without ORDER BY.",
        examples=["project = SHOP AND issuetype = Bug"],
    )


class Myself(kit.Payload):
    """The connection's user. https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-myself/"""

    time_zone: str = Field(alias="timeZone")


def local(since: datetime, zone: str) -> datetime:
    """Return the time as the clocks of the zone show it. A time that the clocks show twice becomes an hour earlier, so
    that a search from it misses nothing.
    """
    found = since.astimezone(ZoneInfo(zone))
    other = found.replace(fold=1 - found.fold)
    return found - timedelta(hours=1) if found.utcoffset() != other.utcoffset() else found


def _asked(field: str) -> Any:
    async def ask(question: kit.Question[Issues], look: kit.Look) -> Any:
        zone = kit.read(Myself, await question.api.get("rest/api/3/myself")).time_zone
        only = f"({question.config.jql}) AND " if question.config.jql else ""
        jql = f'{only}{field} >= "{local(look.since, zone):%Y/%m/%d %H:%M}" ORDER BY {field} ASC'
        after = {"nextPageToken": look.token} if look.token else {}
        wanted = {"jql": jql, "fields": ["*navigable"], "maxResults": 100, **after}
        return await question.api.post("rest/api/3/search/jql", wanted)

    return ask


async def _samples(question: kit.Question[Issues]) -> Any:
    jql = question.config.jql or "created >= -365d"
    answer = await question.api.post("rest/api/3/search/jql", {"jql": jql, "fields": ["*navigable"], "maxResults": 3})
    return kit.items_at(answer, "/issues")


def _on(field: str, id_: str, name: str, description: str) -> kit.Polling[Issues]:
    place = f"/fields/{field}"
    fields = kit.Fields(key="/id" if field == "created" else ("/id", place), subject="/key", at=place)
    return kit.Polling(
        id=id_,
        name=name,
        description=description,
        config=Issues,
        poll=kit.Asked(_asked(field), fields, timedelta(minutes=5), items="/issues", following="/nextPageToken"),
        samples=_samples,
    )


provider = kit.Provider(
    id="jira",
    name="Jira",
    icon="🔷",
    base_url="https://{site}.atlassian.net/",
    auth=kit.UserAndPassword("email", "api_token"),
    guide="On id.atlassian.com, under Security, make an API token. Connect with it and the e-mail address of its "
    "account. The site is what stands before .atlassian.net.",
    labels={"site": "Site", "email": "E-mail address", "api_token": "API token"},
    check=lambda api: api.get("rest/api/3/myself"),
    triggers=(
        _on("created", "on_issue_created", "Issue created", "An issue was created."),
        _on("updated", "on_issue_updated", "Issue updated", "An issue was created or changed."),
    ),
)
