"""Triggers of an integration: the published contract, field by field."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hairtrigger.api.odeus.schemas import TriggerBody
from hairtrigger.domain.caller import Caller
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.domain.slug import utf16_length
from hairtrigger.store.database import Store
from hairtrigger.store.events import outcomes
from hairtrigger.store.polling import polls
from hairtrigger.store.polling.polls import Due, Progress
from hairtrigger.store.setup import triggers
from hairtrigger.store.setup.triggers import ProjectTrigger
from tests.store.build import a_project, a_trigger
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

EMOJI = "😀"

# This is the example of the published page, word for word.
EXAMPLE: dict[str, Any] = {
    "name": "New Issue Created",
    "description": "Triggers when a new issue is created in the project tracker",
    "pollingCode": """
            const response = await fetch('https://api.example.com/issues?since=' + lastPollTime, {
              headers: {
                'Authorization': 'Bearer ' + secrets.API_TOKEN
              }
            });
    
            if (!response.ok) {
              throw new Error('Failed to fetch issues');
            }
    
            const issues = await response.json();
            return issues.map(issue => ({
              id: issue.id,
              title: issue.title,
              description: issue.description,
              createdAt: issue.created_at
            }));
          """,  # noqa: W293
    "inputFields": [
        {
            "label": "Project ID",
            "type": "TEXT",
            "description": "The ID of the project to monitor",
            "placeholder": "e.g., proj_123",
            "required": True,
        },
        {
            "label": "Priority Filter",
            "type": "SELECT",
            "description": "Only trigger for issues with this priority",
            "options": [
                {"label": "All", "value": "all"},
                {"label": "High", "value": "high"},
                {"label": "Medium", "value": "medium"},
                {"label": "Low", "value": "low"},
            ],
            "required": False,
        },
    ],
}


async def _made(client: httpx2.AsyncClient, integration_id: str, **body: Any) -> dict[str, Any]:
    answer = await client.post(f"/{integration_id}/triggers/create", json={"name": "Trigger", **body})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()["trigger"]
    return found


# -- create


async def test_the_published_example_creates_a_trigger(acme: httpx2.AsyncClient, tracker: str) -> None:
    answer = await acme.post(f"/{tracker}/triggers/create", json=EXAMPLE)

    assert answer.status_code == 201
    assert list(answer.json()) == ["trigger"]
    made = answer.json()["trigger"]
    assert UUID(made.pop("id")).version == 7
    assert made == {
        "name": "New Issue Created",
        "slug": "new-issue-created",
        "description": "Triggers when a new issue is created in the project tracker",
        "type": "POLLING",
        "pollingCode": EXAMPLE["pollingCode"],
        "inputFields": [
            {
                "slug": "projectId",
                "label": "Project ID",
                "type": "TEXT",
                "description": "The ID of the project to monitor",
                "placeholder": "e.g., proj_123",
                "required": True,
                "options": None,
                "allowMultiSelect": None,
            },
            {
                "slug": "priorityFilter",
                "label": "Priority Filter",
                "type": "SELECT",
                "description": "Only trigger for issues with this priority",
                "placeholder": None,
                "required": False,
                "options": EXAMPLE["inputFields"][1]["options"],
                "allowMultiSelect": None,
            },
        ],
    }


async def test_a_name_is_all_it_needs(acme: httpx2.AsyncClient, tracker: str) -> None:
    made = await _made(acme, tracker, name="  Bare ", slug="mine", type="REST_HOOK", enabled=True)
    explicit = await _made(acme, tracker, name="Nulls", description=None, pollingCode=None, inputFields=None)

    rest: dict[str, Any] = {"description": "", "type": "POLLING", "pollingCode": None, "inputFields": []}
    assert made == {"id": made["id"], "name": "Bare", "slug": "bare", **rest}
    assert explicit == {"id": explicit["id"], "name": "Nulls", "slug": "nulls", **rest}


@pytest.mark.parametrize("type_", ["TEXT", "MULTI_LINE_TEXT", "NUMBER", "BOOLEAN", "SELECT", "PASSWORD", "VECTOR"])
async def test_every_published_field_type_is_accepted(acme: httpx2.AsyncClient, tracker: str, type_: str) -> None:
    options = [{"label": "One", "value": "1"}] if type_ == "SELECT" else None
    field = {"label": "Field", "type": type_, "options": options, "allowMultiSelect": True}

    made = await _made(acme, tracker, inputFields=[field])

    assert made["inputFields"] == [
        {"slug": "field", "description": "", "placeholder": None, "required": False, **field}
    ]


async def test_the_longest_texts_are_accepted_in_utf16_units(acme: httpx2.AsyncClient, tracker: str) -> None:
    field = {
        "label": EMOJI * 50,
        "description": EMOJI * 250,
        "placeholder": EMOJI * 100,
    }
    body = {"name": EMOJI * 50, "description": EMOJI * 45, "pollingCode": EMOJI * 500, "inputFields": [field]}

    made = await _made(acme, tracker, **body)

    assert {key: made[key] for key in ("name", "description", "pollingCode")} == {
        key: body[key] for key in ("name", "description", "pollingCode")
    }
    assert {key: made["inputFields"][0][key] for key in field} == field
    assert made["slug"] == "trigger"
    assert made["inputFields"][0]["slug"] == "field"


def _field(**changes: Any) -> dict[str, Any]:
    return {"inputFields": [{"label": "Fine"}, {"label": "Field", **changes}]}


async def test_null_is_the_same_as_left_out(acme: httpx2.AsyncClient, tracker: str) -> None:
    optional = ("description", "type", "placeholder", "required", "options", "allowMultiSelect")
    nulls = {"label": "Board", **dict.fromkeys(optional)}

    bare = await _made(acme, tracker, name="Bare", inputFields=[{"label": "Board"}])
    null = await _made(acme, tracker, name="Null", inputFields=[nulls], description=None, pollingCode=None)

    assert null["inputFields"] == bare["inputFields"]
    assert (null["description"], null["pollingCode"]) == ("", None)
    auth = {"authType": "API_KEY", "authTestCode": None, "oauthClient": None}
    field = {
        "slug": "key",
        "label": "Key",
        "type": "PASSWORD",
        "description": None,
        "placeholder": None,
        "required": None,
    }
    changed = await acme.patch(f"/{tracker}/auth", json={**auth, "authFields": [field]})
    assert (changed.status_code, changed.json()["integration"]["authFields"][0]["description"]) == (200, "")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"name": None}, ["name"]),
        ({"name": " "}, ["name"]),
        ({"name": "n" * 101}, ["name"]),
        ({"name": EMOJI * 50 + "n"}, ["name"]),
        ({"description": "d" * 91}, ["description"]),
        ({"pollingCode": "c" * 1001}, ["pollingCode"]),
        ({"pollingCode": EMOJI * 500 + "c"}, ["pollingCode"]),
        ({"pollingCode": "nul \0"}, ["pollingCode"]),
        ({"pollingCode": 1}, ["pollingCode"]),
        ({"pollingCode": "return {"}, ["pollingCode"]),
        ({"inputFields": {}}, ["inputFields"]),
        ({"inputFields": [1]}, ["inputFields", 0]),
        ({"inputFields": [{}]}, ["inputFields", 0, "label"]),
        ({"inputFields": [{"label": "Project ID"}, {"label": "project_id"}]}, ["inputFields"]),
        ({"inputFields": [{"label": f"Field {n}"} for n in range(101)]}, ["inputFields"]),
        (_field(label=""), ["inputFields", 1, "label"]),
        (_field(label="l" * 101), ["inputFields", 1, "label"]),
        (_field(label=EMOJI * 50 + "l"), ["inputFields", 1, "label"]),
        (_field(type="text"), ["inputFields", 1, "type"]),
        (_field(type="OBJECT"), ["inputFields", 1, "type"]),
        (_field(description="d" * 501), ["inputFields", 1, "description"]),
        (_field(placeholder="p" * 201), ["inputFields", 1, "placeholder"]),
        (_field(placeholder="\0"), ["inputFields", 1, "placeholder"]),
        (_field(required="true"), ["inputFields", 1, "required"]),
        (_field(allowMultiSelect=1), ["inputFields", 1, "allowMultiSelect"]),
        (_field(type="SELECT"), ["inputFields", 1]),
        (_field(type="SELECT", options=[]), ["inputFields", 1]),
        (_field(type="SELECT", options=[{"label": "a", "value": "a"}] * 1001), ["inputFields", 1, "options"]),
        (_field(type="SELECT", options=[{"label": "a"}]), ["inputFields", 1, "options", 0, "value"]),
        (_field(type="SELECT", options=[{"label": "a", "value": 1}]), ["inputFields", 1, "options", 0, "value"]),
    ],
)
async def test_a_body_that_breaks_the_rules_is_400_with_the_place_and_stores_nothing(
    acme: httpx2.AsyncClient, tracker: str, body: dict[str, Any], path: list[Any]
) -> None:
    trigger = await _made(acme, tracker, name="There")

    created = await acme.post(f"/{tracker}/triggers/create", json={"name": "Trigger", **body})
    replaced = await acme.put(f"/{tracker}/triggers/{trigger['id']}", json={"name": "Trigger", **body})

    for answer in (created, replaced):
        assert answer.status_code == 400
        assert [issue["path"] for issue in answer.json()["message"]] == [path]
    assert (await acme.get(f"/{tracker}")).json()["integration"]["triggers"] == [trigger]


async def test_code_that_does_not_parse_is_told_where(acme: httpx2.AsyncClient, tracker: str) -> None:
    answer = await acme.post(f"/{tracker}/triggers/create", json={"name": "Trigger", "pollingCode": "return {"})

    [issue] = answer.json()["message"]
    assert "line 1, column 8" in issue["message"]
    assert issue["code"] == "syntax"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=990, max_size=1010))
def test_a_thousand_units_pass_and_one_more_does_not(code: str) -> None:
    body = {"name": "Trigger", "pollingCode": code}
    if utf16_length(code) <= 1000:
        assert TriggerBody.model_validate(body).polling_code == code
    else:
        with pytest.raises(ValidationError):
            TriggerBody.model_validate(body)


async def test_a_name_is_unique_in_its_integration_only(acme: httpx2.AsyncClient, tracker: str) -> None:
    other = str((await acme.post("/create", json={"name": "Other"})).json()["integration"]["id"])
    await _made(acme, tracker, name="Same")
    await _made(acme, other, name="Same")

    answer = await acme.post(f"/{tracker}/triggers/create", json={"name": " Same "})

    assert answer.status_code == 409
    assert "Trigger with this name already exists" in answer.json()["message"]


async def test_names_alike_get_slugs_of_their_own(acme: httpx2.AsyncClient, tracker: str) -> None:
    made = [
        await _made(acme, tracker, name=name) for name in ("New issue", "New issue!", "NEW ISSUE", "日本", "日本語")
    ]

    assert [one["slug"] for one in made] == ["new-issue", "new-issue-2", "new-issue-3", "trigger", "trigger-2"]


async def test_of_many_at_once_with_one_name_one_is_created(acme: httpx2.AsyncClient, tracker: str) -> None:
    same = [acme.post(f"/{tracker}/triggers/create", json={"name": "Same"}) for _ in range(5)]
    alike = [acme.post(f"/{tracker}/triggers/create", json={"name": "Alike" + "!" * n}) for n in range(5)]
    answers = await asyncio.gather(*same, *alike)

    assert sorted(answer.status_code for answer in answers[:5]) == [201, 409, 409, 409, 409]
    assert {answer.json()["trigger"]["slug"] for answer in answers[5:]} == {
        "alike",
        *(f"alike-{n}" for n in range(2, 6)),
    }


# -- replace


async def test_a_replacement_keeps_id_and_slug_and_nothing_else(acme: httpx2.AsyncClient, tracker: str) -> None:
    made = await _made(acme, tracker, **EXAMPLE)

    answer = await acme.put(f"/{tracker}/triggers/{made['id']}", json={"name": "Renamed"})

    assert answer.status_code == 200
    assert answer.json() == {
        "trigger": {
            "id": made["id"],
            "name": "Renamed",
            "slug": "new-issue-created",
            "description": "",
            "type": "POLLING",
            "pollingCode": None,
            "inputFields": [],
        }
    }
    assert (await acme.get(f"/{tracker}")).json()["integration"]["triggers"] == [answer.json()["trigger"]]


async def test_what_is_read_can_be_written_back(acme: httpx2.AsyncClient, tracker: str) -> None:
    made = await _made(acme, tracker, **EXAMPLE)

    answer = await acme.put(f"/{tracker}/triggers/{made['id']}", json=made)

    assert answer.json() == {"trigger": made}


async def test_a_replacement_may_not_take_anothers_name(acme: httpx2.AsyncClient, tracker: str) -> None:
    await _made(acme, tracker, name="First")
    second = await _made(acme, tracker, name="Second")
    before = (await acme.get(f"/{tracker}")).json()

    answer = await acme.put(f"/{tracker}/triggers/{second['id']}", json={"name": "First", "pollingCode": "return []"})

    assert answer.status_code == 409
    assert (await acme.get(f"/{tracker}")).json() == before


async def test_a_replacement_needs_a_name(acme: httpx2.AsyncClient, tracker: str) -> None:
    made = await _made(acme, tracker)

    answer = await acme.put(f"/{tracker}/triggers/{made['id']}", json={"pollingCode": "return []"})

    assert answer.status_code == 400


# -- delete


async def test_a_deleted_trigger_is_gone(acme: httpx2.AsyncClient, tracker: str) -> None:
    made = await _made(acme, tracker)

    answer = await acme.delete(f"/{tracker}/triggers/{made['id']}")
    again = await acme.delete(f"/{tracker}/triggers/{made['id']}")

    assert (answer.status_code, answer.json()) == (200, {"message": "Trigger deleted", "id": made["id"]})
    assert (again.status_code, again.json()) == (404, {"message": "Trigger not found"})
    assert (await acme.get(f"/{tracker}")).json()["integration"]["triggers"] == []


async def _state(store: Store, trigger: ProjectTrigger) -> tuple[bool, int]:
    async with store.transaction() as tx:
        found = await triggers.get(tx, trigger.org_id, trigger.id)
    assert found
    return found.enabled, found.generation


async def test_what_uses_a_deleted_trigger_is_no_longer_activated_by_it(
    acme: httpx2.AsyncClient, tracker: str, store: Store, owner: Caller, clock: ManualClock
) -> None:
    gone, kept = await _made(acme, tracker, name="Gone"), await _made(acme, tracker, name="Kept")
    async with store.transaction() as tx:
        project = await a_project(tx, owner.org_id, clock.now())
        polled, idle, other, elsewhere = [
            await a_trigger(
                tx, owner.org_id, project, clock.now(), provider_id=provider, trigger_id=slug, enabled=enabled
            )
            for provider, slug, enabled in (
                (tracker, gone["slug"], True),
                (tracker, gone["slug"], False),
                (tracker, kept["slug"], True),
                (str(uuid4()), gone["slug"], True),
            )
        ]
        for one in (polled, other):
            await polls.start(tx, one.id, "poll", clock.now())

    await acme.delete(f"/{tracker}/triggers/{gone['id']}")

    assert await _state(store, polled) == (False, 2)
    assert await _state(store, idle) == (False, 2), "enabling it at this moment must fail"
    assert await _state(store, other) == (True, 1)
    assert await _state(store, elsewhere) == (True, 1)
    async with store.transaction() as tx:
        stopped, running = await polls.get(tx, polled.id), await polls.get(tx, other.id)
        [why] = await outcomes.of_trigger(tx, polled.id)
    assert stopped
    assert stopped.next_at is None
    assert running
    assert running.next_at == clock.now()
    assert (why.kind, why.code) == (Kind.TRIGGER, Code.DISABLED)
    assert "gone" in why.detail


async def test_a_poll_under_way_stores_nothing_once_its_trigger_is_deleted(
    acme: httpx2.AsyncClient, tracker: str, store: Store, owner: Caller, clock: ManualClock
) -> None:
    made = await _made(acme, tracker)
    async with store.transaction() as tx:
        project = await a_project(tx, owner.org_id, clock.now())
        user = await a_trigger(tx, owner.org_id, project, clock.now(), provider_id=tracker, trigger_id=made["slug"])
        await polls.start(tx, user.id, "poll", clock.now())
        lease = uuid4()
        await polls.set_due(tx, [Due(user.id, clock.now(), lease, clock.now() + timedelta(minutes=1))])

    await acme.delete(f"/{tracker}/triggers/{made['id']}")

    async with store.transaction() as tx:
        assert not await polls.progress(tx, [Progress(user.id, lease, {}, ended=True)])


# -- ids


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_an_id_that_is_none_is_400_and_an_unknown_one_404(
    acme: httpx2.AsyncClient, tracker: str, method: str
) -> None:
    async def status(integration: object, trigger: object) -> int:
        body = {"name": "T"} if method == "PUT" else None
        return (await acme.request(method, f"/{integration}/triggers/{trigger}", json=body)).status_code

    trigger = (await _made(acme, tracker))["id"]

    assert await status("nope", trigger) == 400
    assert await status(tracker, "nope") == 400
    assert await status(uuid4(), trigger) == 404
    assert await status(tracker, uuid4()) == 404
    assert await status(tracker, trigger) == 200


async def test_creating_in_an_unknown_integration_is_404_and_in_none_400(acme: httpx2.AsyncClient) -> None:
    unknown = await acme.post(f"/{uuid4()}/triggers/create", json=EXAMPLE)
    malformed = await acme.post("/nope/triggers/create", json=EXAMPLE)

    assert (unknown.status_code, unknown.json()) == (404, {"message": "Integration not found"})
    assert malformed.status_code == 400
    assert isinstance(malformed.json()["message"], str)
