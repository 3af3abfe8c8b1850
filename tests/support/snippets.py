"""Polling code for apps that have no provider, each at most 1,000 characters: what `docs/polling-snippets.md` shows.

`test_snippets.py` runs each in the real sandbox against an answer as the app's documentation shows it. What is asked for
again overlaps by a few minutes; the ids keep it from becoming a second event.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Snippet:
    """Polling code for one app, an answer to its request, and what it must ask for and return."""

    app: str
    brings: str
    code: str
    asks: str  # the request's URL, decoded, for a last poll at 2026-03-01 12:30:15 UTC
    sends: Mapping[str, str]  # headers of the request
    answers: Any
    ids: Sequence[str]
    inputs: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=lambda: {"key": "k3y"})
    body: Mapping[str, Any] | None = None
    source: str = ""


_BASIC_EMPTY_USER = "Basic OmszeQ=="  # :k3y
_SINCE = "2026-03-01T12:25:15.250Z"
_READ = """if (!answer.ok) throw new Error("It answered " + answer.status);
"""
_BACK = "const since = new Date(Date.parse(lastPollTime) - 3e5)"

SNIPPETS = (
    Snippet(
        "freshdesk",
        "Tickets that are new or changed",
        f"""{_BACK}.toISOString();
const answer = await fetch(`https://${{inputs.domain}}.freshdesk.com/api/v2/tickets?updated_since=${{since}}`
  + "&order_by=updated_at&order_type=asc&per_page=100",
  {{ headers: {{ Authorization: "Basic " + btoa(secrets.key + ":X") }} }});
{_READ}return (await answer.json()).map((one) => (
  {{ id: one.id + " " + one.updated_at, timestamp: one.updated_at, data: one }}));""",
        f"https://acme.freshdesk.com/api/v2/tickets?updated_since={_SINCE}&order_by=updated_at&order_type=asc&per_page=100",
        {"authorization": "Basic azN5Olg="},
        [{"id": 20, "subject": "Help", "updated_at": "2026-03-01T12:29:00Z"}],
        ["20 2026-03-01T12:29:00Z"],
        {"domain": "acme"},
        source="https://developers.freshdesk.com/api/#list_all_tickets",
    ),
    Snippet(
        "jotform",
        "Submissions of a form",
        f"""{_BACK}.toLocaleString("sv-SE", {{ timeZone: inputs.zone }});
const filter = encodeURIComponent(JSON.stringify({{ "created_at:gt": since }}));
const answer = await fetch(`https://api.jotform.com/form/${{inputs.form}}/submissions?filter=${{filter}}`
  + "&orderby=created_at&limit=1000", {{ headers: {{ APIKEY: secrets.key }} }});
{_READ}return (await answer.json()).content.reverse();""",
        'https://api.jotform.com/form/2301/submissions?filter={"created_at:gt":"2026-03-01 07:25:15"}&orderby=created_at&limit=1000',
        {"apikey": "k3y"},
        {"responseCode": 200, "content": [{"id": "57", "form_id": "2301", "created_at": "2026-03-01 07:29:00"}]},
        ["57"],
        {"form": "2301", "zone": "America/New_York"},
        source="https://api.jotform.com/docs/#form-id-submissions",
    ),
    Snippet(
        "lemlist",
        "Activities of campaigns, such as replies",
        f"""const answer = await fetch("https://api.lemlist.com/api/activities?version=v2&limit=100&type="
  + inputs.type, {{ headers: {{ Authorization: "Basic " + btoa(":" + secrets.key) }} }});
{_READ}return (await answer.json()).reverse().map(({{ _id, ...data }}) => ({{ id: _id, ...data }}));""",
        "https://api.lemlist.com/api/activities?version=v2&limit=100&type=emailsReplied",
        {"authorization": _BASIC_EMPTY_USER},
        [{"_id": "act_2", "type": "emailsReplied"}, {"_id": "act_1", "type": "emailsReplied"}],
        ["act_1", "act_2"],
        {"type": "emailsReplied"},
        source="https://developer.lemlist.com/",
    ),
    Snippet(
        "eventbrite",
        "Orders of an organisation",
        f"""{_BACK}.toISOString().slice(0, 19) + "Z";
const answer = await fetch(`https://www.eventbriteapi.com/v3/organizations/${{inputs.organization}}/orders/`
  + "?changed_since=" + since, {{ headers: {{ Authorization: "Bearer " + secrets.key }} }});
{_READ}return (await answer.json()).orders.map((one) => (
  {{ id: one.id + " " + one.changed, timestamp: one.changed, data: one }}));""",
        "https://www.eventbriteapi.com/v3/organizations/88/orders/?changed_since=2026-03-01T12:25:15Z",
        {"authorization": "Bearer k3y"},
        {"orders": [{"id": "9", "changed": "2026-03-01T12:29:00Z"}], "pagination": {"has_more_items": False}},
        ["9 2026-03-01T12:29:00Z"],
        {"organization": "88"},
        source="https://www.eventbrite.com/platform/api#/reference/order/list/list-orders-by-organization-id",
    ),
    Snippet(
        "activecampaign",
        "Contacts that are new or changed",
        f"""{_BACK}.toISOString();
const answer = await fetch(`${{inputs.address}}/api/3/contacts?filters[updated_after]=${{since}}&orders[udate]=ASC&limit=100`,
  {{ headers: {{ "Api-Token": secrets.key }} }});
{_READ}return (await answer.json()).contacts.map((one) => (
  {{ id: one.id + " " + one.udate, timestamp: one.udate, data: one }}));""",
        f"https://acme.api-us1.com/api/3/contacts?filters[updated_after]={_SINCE}&orders[udate]=ASC&limit=100",
        {"api-token": "k3y"},
        {"contacts": [{"id": "4", "email": "ada@example.com", "udate": "2026-03-01T06:29:00-06:00"}]},
        ["4 2026-03-01T06:29:00-06:00"],
        {"address": "https://acme.api-us1.com"},
        source="https://developers.activecampaign.com/reference/list-all-contacts",
    ),
    Snippet(
        "attio",
        "Records that are new",
        f"""{_BACK}.toISOString();
const answer = await fetch(`https://api.attio.com/v2/objects/${{inputs.object}}/records/query`, {{
  method: "POST", headers: {{ Authorization: "Bearer " + secrets.key, "Content-Type": "application/json" }},
  body: JSON.stringify({{ filter: {{ created_at: {{ $gte: since }} }}, limit: 500,
    sorts: [{{ attribute: "created_at", direction: "asc" }}] }}) }});
{_READ}return (await answer.json()).data.map((one) => (
  {{ id: one.id.record_id, timestamp: one.created_at, data: one }}));""",
        "https://api.attio.com/v2/objects/people/records/query",
        {"authorization": "Bearer k3y", "content-type": "application/json"},
        {"data": [{"id": {"record_id": "r-1"}, "created_at": "2026-03-01T12:29:00.000000000Z", "values": {}}]},
        ["r-1"],
        {"object": "people"},
        body={
            "filter": {"created_at": {"$gte": _SINCE}},
            "limit": 500,
            "sorts": [{"attribute": "created_at", "direction": "asc"}],
        },
        source="https://docs.attio.com/rest-api/endpoint-reference/records/list-records",
    ),
    Snippet(
        "wordpress",
        "Posts that are new or changed",
        f"""{_BACK}.toISOString().slice(0, 19);
const answer = await fetch(`${{inputs.site}}/wp-json/wp/v2/posts?modified_after=${{since}}Z&orderby=modified`
  + "&order=asc&per_page=100&status=any&context=edit",
  {{ headers: {{ Authorization: "Basic " + btoa(inputs.user + ":" + secrets.key) }} }});
{_READ}return (await answer.json()).map((one) => (
  {{ id: one.id + " " + one.modified_gmt, timestamp: one.modified_gmt + "Z", data: one }}));""",
        "https://blog.example.com/wp-json/wp/v2/posts?modified_after=2026-03-01T12:25:15Z&orderby=modified"
        "&order=asc&per_page=100&status=any&context=edit",
        {"authorization": "Basic YWRhOmszeQ=="},
        [{"id": 3, "status": "publish", "modified_gmt": "2026-03-01T12:29:00"}],
        ["3 2026-03-01T12:29:00"],
        {"site": "https://blog.example.com", "user": "ada"},
        source="https://developer.wordpress.org/rest-api/reference/posts/",
    ),
    Snippet(
        "surveymonkey",
        "Completed responses of a survey",
        f"""{_BACK}.toISOString().slice(0, 19);
const answer = await fetch(`https://api.surveymonkey.com/v3/surveys/${{inputs.survey}}/responses/bulk`
  + `?start_modified_at=${{since}}&sort_by=date_modified&sort_order=ASC&per_page=100&status=completed`,
  {{ headers: {{ Authorization: "Bearer " + secrets.key }} }});
{_READ}return (await answer.json()).data;""",
        "https://api.surveymonkey.com/v3/surveys/71/responses/bulk?start_modified_at=2026-03-01T12:25:15"
        "&sort_by=date_modified&sort_order=ASC&per_page=100&status=completed",
        {"authorization": "Bearer k3y"},
        {"data": [{"id": "501", "response_status": "completed", "date_modified": "2026-03-01T12:29:00+00:00"}]},
        ["501"],
        {"survey": "71"},
        source="https://api.surveymonkey.com/v3/docs",
    ),
    Snippet(
        "copper",
        "Leads that are new or changed",
        f"""{_BACK} / 1000 | 0;
const answer = await fetch("https://api.copper.com/developer_api/v1/leads/search", {{ method: "POST",
  headers: {{ "X-PW-AccessToken": secrets.key, "X-PW-Application": "developer_api", "X-PW-UserEmail": inputs.email,
    "Content-Type": "application/json" }},
  body: JSON.stringify({{ minimum_modified_date: since, sort_by: "date_modified", sort_direction: "asc",
    page_size: 200 }}) }});
{_READ}return (await answer.json()).map((one) => (
  {{ id: one.id + " " + one.date_modified, timestamp: new Date(one.date_modified * 1000).toISOString(), data: one }}));""",
        "https://api.copper.com/developer_api/v1/leads/search",
        {"x-pw-accesstoken": "k3y", "x-pw-application": "developer_api", "x-pw-useremail": "ada@example.com"},
        [{"id": 8, "name": "Ada", "date_modified": 1772368140}],
        ["8 1772368140"],
        {"email": "ada@example.com"},
        body={
            "minimum_modified_date": 1772367915,
            "sort_by": "date_modified",
            "sort_direction": "asc",
            "page_size": 200,
        },
        source="https://developer.copper.com/leads/list-leads-search.html",
    ),
    Snippet(
        "smartsheet",
        "Rows of a sheet that are new or changed",
        f"""{_BACK}.toISOString();
const answer = await fetch(`https://api.smartsheet.com/2.0/sheets/${{inputs.sheet}}?includeAll=true`
  + `&rowsModifiedSince=${{since}}`, {{ headers: {{ Authorization: "Bearer " + secrets.key }} }});
{_READ}return (await answer.json()).rows.map((one) => (
  {{ id: one.id + " " + one.modifiedAt, timestamp: one.modifiedAt, data: one }}));""",
        f"https://api.smartsheet.com/2.0/sheets/45?includeAll=true&rowsModifiedSince={_SINCE}",
        {"authorization": "Bearer k3y"},
        {"id": 45, "rows": [{"id": 6, "modifiedAt": "2026-03-01T12:29:00Z", "cells": []}]},
        ["6 2026-03-01T12:29:00Z"],
        {"sheet": "45"},
        source="https://developers.smartsheet.com/api/smartsheet/openapi/sheets/getsheet",
    ),
    Snippet(
        "coda",
        "Rows of a table that are new or changed",
        f"""const answer = await fetch(`https://coda.io/apis/v1/docs/${{inputs.doc}}/tables/${{inputs.table}}/rows`
  + "?sortBy=updatedAt&valueFormat=simpleWithArrays&limit=100",
  {{ headers: {{ Authorization: "Bearer " + secrets.key }} }});
{_READ}return (await answer.json()).items.map((one) => (
  {{ id: one.id + " " + one.updatedAt, timestamp: one.updatedAt, data: one }}));""",
        "https://coda.io/apis/v1/docs/d1/tables/grid-2/rows?sortBy=updatedAt&valueFormat=simpleWithArrays&limit=100",
        {"authorization": "Bearer k3y"},
        {"items": [{"id": "i-1", "updatedAt": "2026-03-01T12:29:00.000-08:00", "values": {"c-3": "x"}}]},
        ["i-1 2026-03-01T12:29:00.000-08:00"],
        {"doc": "d1", "table": "grid-2"},
        source="https://coda.io/developers/apis/v1#tag/Rows",
    ),
    Snippet(
        "baserow",
        "Rows of a table, by their id",
        f"""const answer = await fetch(`https://api.baserow.io/api/database/rows/table/${{inputs.table}}/`
  + "?user_field_names=true&size=200&order_by=-id", {{ headers: {{ Authorization: "Token " + secrets.key }} }});
{_READ}return (await answer.json()).results.reverse();""",
        "https://api.baserow.io/api/database/rows/table/12/?user_field_names=true&size=200&order_by=-id",
        {"authorization": "Token k3y"},
        {"count": 2, "next": None, "results": [{"id": 2, "Name": "B"}, {"id": 1, "Name": "A"}]},
        ["1", "2"],
        {"table": "12"},
        source="https://api.baserow.io/api/redoc/#tag/Database-table-rows",
    ),
    Snippet(
        "todoist",
        "Tasks that are new",
        f"""const answer = await fetch("https://api.todoist.com/api/v1/sync", {{ method: "POST",
  headers: {{ Authorization: "Bearer " + secrets.key, "Content-Type": "application/x-www-form-urlencoded" }},
  body: new URLSearchParams({{ sync_token: "*", resource_types: '["items"]' }}).toString() }});
{_READ}const since = Date.parse(lastPollTime) - 3e5;
return (await answer.json()).items.filter((one) => !one.is_deleted && Date.parse(one.added_at) >= since);""",
        "https://api.todoist.com/api/v1/sync",
        {"authorization": "Bearer k3y", "content-type": "application/x-www-form-urlencoded"},
        {
            "full_sync": True,
            "items": [
                {"id": "6X7", "content": "Tea", "added_at": "2026-03-01T12:29:00Z", "is_deleted": False},
                {"id": "6X8", "content": "Old", "added_at": "2026-02-01T12:29:00Z", "is_deleted": False},
            ],
        },
        ["6X7"],
        source="https://developer.todoist.com/api/v1/#tag/Sync",
    ),
    Snippet(
        "helpscout",
        "Conversations that are new or changed",
        f"""{_BACK}.toISOString().slice(0, 19) + "Z";
const answer = await fetch("https://api.helpscout.net/v2/conversations?status=all&sortField=modifiedAt"
  + "&sortOrder=asc&modifiedSince=" + since, {{ headers: {{ Authorization: "Bearer " + secrets.key }} }});
{_READ}return ((await answer.json())._embedded?.conversations ?? []).map((one) => (
  {{ id: one.id + " " + one.userUpdatedAt, timestamp: one.userUpdatedAt, data: one }}));""",
        "https://api.helpscout.net/v2/conversations?status=all&sortField=modifiedAt&sortOrder=asc"
        "&modifiedSince=2026-03-01T12:25:15Z",
        {"authorization": "Bearer k3y"},
        {"_embedded": {"conversations": [{"id": 10, "userUpdatedAt": "2026-03-01T12:29:00Z"}]}, "page": {"number": 1}},
        ["10 2026-03-01T12:29:00Z"],
        source="https://developer.helpscout.com/mailbox-api/endpoints/conversations/list/",
    ),
)


def snippets_document() -> str:
    """Return the page on polling code for apps that have no provider."""
    parts = "\n".join(_part(one) for one in SNIPPETS)
    return f"""# Polling code for apps without a provider

<!-- Written by ./dev poe docs from tests/support/snippets.py. -->

Each of these is the polling code of a trigger of one's own integration, and has at most 1,000 characters.
[polling-code.md](polling-code.md) says how such a trigger works. `secrets` are fields of the connection, and `inputs` are
input fields of the trigger. Each snippet runs in the tests, against an answer as the app's documentation shows it.

{parts}"""


def _part(one: Snippet) -> str:
    needs = [f"`secrets.{name}`" for name in one.secrets] + [f"`inputs.{name}`" for name in one.inputs]
    return (
        f"## {one.app}: {one.brings[0].lower()}{one.brings[1:]}\n\n"
        f"It needs {', '.join(needs)}. {one.source}\n\n```js\n{one.code}\n```\n"
    )
