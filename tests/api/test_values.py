"""Times near the ends of the calendar pass through the whole service."""

import json
from typing import Any

import pytest

from tests.api.conftest import Tenant
from tests.support.servers import Server, response, serving
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("run_at", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999Z"])
async def test_a_trigger_that_fires_at_the_end_of_the_calendar_can_be_looked_at_everywhere(
    tenant: Tenant, run_at: str
) -> None:
    project = (await tenant.project("http://127.0.0.1:9/"))["id"]
    other = await tenant.trigger(project, "schedule", "on_schedule", {"interval": "1h"})
    id_ = await tenant.trigger(project, "schedule", "on_schedule_once", {"run_at": run_at})
    for one in (other, id_):
        await tenant.ask("POST", f"/triggers/{one}/enable")

    found = await tenant.ask("GET", f"/v1/project-triggers/{id_}")
    assert (found["next_at"], found["upcoming"]) == (run_at, [run_at])
    assert found["health"]["status"] == "healthy"
    assert found["health"]["expected_by"] == "9999-12-31T23:59:59.999999Z"
    listed = await tenant.ask("GET", "/v1/project-triggers")
    assert {one["id"] for one in listed["data"]} == {other, id_}
    assert "9999-12-31 23:59:59" in (await tenant.ask("GET", f"/v1/project-triggers/{id_}/explain"))["summary"]
    for at in ("0001-01-01T00:00:00Z", "2030-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"):
        await tenant.ask("GET", f"/v1/project-triggers/{id_}/explain?at={at}&within=86400")
        await tenant.ask("GET", f"/v1/events?since={at}")
    for path in (f"/triggers/{id_}", "/triggers", f"/projects/{project}/triggers"):
        await tenant.ask("GET", path)
    await tenant.ask("POST", f"/triggers/{id_}/disable")


async def test_a_key_may_last_until_the_end_of_the_calendar(tenant: Tenant) -> None:
    end = "9999-12-31T23:59:59.999999Z"
    body = {"name": "Key", "scopes": ["TRIGGER_API"], "expires_at": end}
    assert (await tenant.ask("POST", "/v1/api-keys", body, status=201))["expires_at"] == end
    [listed] = (await tenant.ask("GET", "/v1/api-keys"))["data"]
    assert listed["expires_at"] == end
    body["expires_at"] = "9999-12-31T23:59:59-05:00"
    refused = await tenant.ask("POST", "/v1/api-keys", body, status=422)
    assert "no such time in UTC" in json.dumps(refused)


async def test_feed_items_of_any_date_are_delivered_in_their_order(tenant: Tenant, target: Server) -> None:
    """An ordered project goes on after an item with the zero time of Go and .NET, 1 January of the year 1."""
    items: list[str] = []

    async def feed(_: Any, writer: Any) -> None:
        body = f'<rss version="2.0"><channel><title>Site</title>{"".join(items)}</channel></rss>'.encode()
        writer.write(response(200, body, ("Content-Type", "application/rss+xml")))

    dates = {
        "Mon, 01 Jan 0001 00:00:00 +0000": "0001-01-01T00:00:00+00:00",
        "Fri, 01 May 2026 12:00:00 +0000": "2026-05-01T12:00:00+00:00",
        "Fri, 31 Dec 9999 23:59:59 +0000": "9999-12-31T23:59:59+00:00",
    }
    async with serving(feed) as site:
        project = (await tenant.project(target.url, order_by="trigger"))["id"]
        id_ = await tenant.trigger(project, "rss", "on_item_published", {"url": f"{site.url}/feed"})
        await tenant.ask("POST", f"/triggers/{id_}/enable")
        items += [f"<item><guid>{date}</guid><pubDate>{date}</pubDate></item>" for date in dates]
        polled = await until(lambda: _polled(tenant, id_, len(dates)))
        assert polled == len(dates)

        await until(lambda: _delivered(tenant, id_, len(dates)))

    assert [json.loads(seen.body)["time"] for seen in target.seen] == list(dates.values())
    listed = (await tenant.ask("GET", f"/v1/events?project_trigger_id={id_}"))["data"]
    assert [event["occurred_at"] for event in listed] == [
        time.replace("+00:00", "Z") for time in reversed(dates.values())
    ]
    for event in listed:
        await tenant.ask("GET", f"/v1/project-triggers/{id_}/explain?event={event['id']}")


async def _polled(tenant: Tenant, id_: str, count: int) -> int:
    """Ask for a poll, and return the number of events once there are `count`, or 0.

    The poll may be refused, because the service may be polling by itself at this moment.
    """
    await tenant.client.post(f"/v1/project-triggers/{id_}/poll")
    found = len((await tenant.ask("GET", f"/v1/events?project_trigger_id={id_}"))["data"])
    return found if found >= count else 0


async def _delivered(tenant: Tenant, id_: str, count: int) -> bool:
    return [one["status"] for one in await tenant.deliveries(project_trigger_id=id_)] == ["delivered"] * count
