"""Actions of an integration."""

from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from hairtrigger.domain.caller import Caller
from hairtrigger.store.database import Store
from hairtrigger.store.setup import integrations

pytestmark = pytest.mark.anyio

EMOJI = "😀"


async def _made(client: httpx2.AsyncClient, integration_id: str, **body: Any) -> dict[str, Any]:
    answer = await client.post(f"/{integration_id}/actions/create", json={"name": "Action", **body})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()["action"]
    return found


async def _confirms(store: Store, integration_id: str, action: dict[str, Any]) -> bool:
    async with store.transaction() as tx:
        found = await integrations.action(tx, UUID(integration_id), UUID(action["id"]))
    assert found
    return found.requires_confirmation


async def test_an_action_is_created_after_the_others(acme: httpx2.AsyncClient, tracker: str) -> None:
    context = str(uuid4())
    first = await _made(
        acme,
        tracker,
        name="Close Issue",
        description="Closes it",
        code="return inputs.issueId",
        inputFields=[{"label": "Issue ID", "type": "ID", "contextActionId": context, "jsonSchema": "{}"}],
    )
    second = await _made(acme, tracker, name="Close issue!")

    assert first == {
        "id": first["id"],
        "name": "Close Issue",
        "description": "Closes it",
        "slug": "close-issue",
        "code": "return inputs.issueId",
        "order": 0,
        "inputFields": [
            {
                "slug": "issueId",
                "label": "Issue ID",
                "type": "ID",
                "description": "",
                "placeholder": None,
                "required": False,
                "options": None,
                "allowMultiSelect": None,
                "contextActionId": context,
                "jsonSchema": "{}",
            }
        ],
    }
    assert second == {
        "id": second["id"],
        "name": "Close issue!",
        "description": "",
        "slug": "close-issue-2",
        "code": None,
        "order": 1,
        "inputFields": [],
    }


async def test_order_goes_on_after_a_deletion(acme: httpx2.AsyncClient, tracker: str) -> None:
    first, second = await _made(acme, tracker, name="A"), await _made(acme, tracker, name="B")
    deleted = await acme.delete(f"/{tracker}/actions/{first['id']}")

    assert (deleted.status_code, deleted.json()) == (200, {"message": "Action deleted", "id": first["id"]})
    assert (second["order"], (await _made(acme, tracker, name="C"))["order"]) == (1, 2)


@pytest.mark.parametrize(("given", "stored"), [({}, True), ({"requiresConfirmation": False}, False)])
async def test_an_action_asks_for_confirmation_unless_told_not_to(
    acme: httpx2.AsyncClient, tracker: str, store: Store, given: dict[str, bool], stored: bool
) -> None:
    assert await _confirms(store, tracker, await _made(acme, tracker, **given)) is stored


async def test_a_replacement_keeps_code_confirmation_slug_and_order(
    acme: httpx2.AsyncClient, tracker: str, store: Store
) -> None:
    await _made(acme, tracker, name="First")
    made = await _made(
        acme,
        tracker,
        name="Old",
        description="Old",
        code="return 1",
        requiresConfirmation=False,
        inputFields=[{"label": "Old"}],
    )

    answer = await acme.put(f"/{tracker}/actions/{made['id']}", json={"name": "New"})

    assert answer.status_code == 200
    assert answer.json() == {"action": {**made, "name": "New", "description": "", "inputFields": []}}
    assert not await _confirms(store, tracker, made)


async def test_a_replacement_replaces_what_it_names(acme: httpx2.AsyncClient, tracker: str, store: Store) -> None:
    made = await _made(acme, tracker, code="return 1", requiresConfirmation=False)
    body = {"name": "Action", "code": "return 2", "requiresConfirmation": True, "description": "New"}

    answer = await acme.put(f"/{tracker}/actions/{made['id']}", json=body)

    assert answer.json() == {"action": {**made, "code": "return 2", "description": "New"}}
    assert await _confirms(store, tracker, made)


async def test_a_name_is_unique_in_its_integration(acme: httpx2.AsyncClient, tracker: str) -> None:
    await _made(acme, tracker, name="Same")
    other = await _made(acme, tracker, name="Other")

    created = await acme.post(f"/{tracker}/actions/create", json={"name": "Same"})
    renamed = await acme.put(f"/{tracker}/actions/{other['id']}", json={"name": "Same"})

    for answer in (created, renamed):
        assert answer.status_code == 409
        assert "Action with this name already exists" in answer.json()["message"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"name": ""}, ["name"]),
        ({"name": "n" * 101}, ["name"]),
        ({"description": "d" * 1001}, ["description"]),
        ({"code": "c" * 150_001}, ["code"]),
        ({"code": EMOJI * 75_000 + "c"}, ["code"]),
        ({"code": "\0"}, ["code"]),
        ({"requiresConfirmation": "no"}, ["requiresConfirmation"]),
        ({"inputFields": [{"label": "A", "type": "EMBEDDING_MODEL"}]}, ["inputFields", 0, "type"]),
        ({"inputFields": [{"label": "A", "contextActionId": "nope"}]}, ["inputFields", 0, "contextActionId"]),
        ({"inputFields": [{"label": "A"}, {"label": "a"}]}, ["inputFields"]),
        ({"inputFields": [{"label": "A", "type": "SELECT"}]}, ["inputFields", 0]),
    ],
)
async def test_a_body_that_breaks_the_rules_is_400_with_the_place(
    acme: httpx2.AsyncClient, tracker: str, body: dict[str, Any], path: list[Any]
) -> None:
    there = await _made(acme, tracker, name="There")

    created = await acme.post(f"/{tracker}/actions/create", json={"name": "Action", **body})
    replaced = await acme.put(f"/{tracker}/actions/{there['id']}", json={"name": "Action", **body})

    for answer in (created, replaced):
        assert answer.status_code == 400
        assert [issue["path"] for issue in answer.json()["message"]] == [path]


@pytest.mark.parametrize("code", ["c" * 150_000, EMOJI * 75_000])
async def test_the_longest_code_is_accepted_however_it_is_escaped(
    acme: httpx2.AsyncClient, tracker: str, code: str
) -> None:
    escaped = "".join(f"\\u{unit:04x}" for unit in memoryview(code.encode("utf-16-le")).cast("H"))

    answer = await acme.post(
        f"/{tracker}/actions/create",
        content=f'{{"name": "Long", "code": "{escaped}"}}',
        headers={"content-type": "application/json"},
    )

    assert answer.status_code == 201
    assert answer.json()["action"]["code"] == code


@pytest.mark.parametrize(
    "type_",
    ["TEXT", "MULTI_LINE_TEXT", "NUMBER", "BOOLEAN", "SELECT", "PASSWORD", "VECTOR", "OBJECT", "FILE", "ID"],
)
async def test_every_published_field_type_is_accepted(acme: httpx2.AsyncClient, tracker: str, type_: str) -> None:
    made = await _made(
        acme, tracker, inputFields=[{"label": "A", "type": type_, "options": [{"label": "One", "value": "1"}]}]
    )

    assert made["inputFields"][0]["type"] == type_


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_an_id_that_is_none_is_400_and_an_unknown_one_404(
    acme: httpx2.AsyncClient, tracker: str, method: str
) -> None:
    async def status(integration: object, action: object) -> int:
        body = {"name": "A"} if method == "PUT" else None
        return (await acme.request(method, f"/{integration}/actions/{action}", json=body)).status_code

    action = (await _made(acme, tracker))["id"]

    assert await status("nope", action) == 400
    assert await status(tracker, "nope") == 400
    assert await status(uuid4(), action) == 404
    assert await status(tracker, uuid4()) == 404
    assert await status(tracker, action) == 200


async def test_an_action_of_another_integration_is_404(acme: httpx2.AsyncClient, tracker: str, owner: Caller) -> None:
    other = (await acme.post("/create", json={"name": "Other"})).json()["integration"]["id"]
    action = await _made(acme, tracker)

    assert (await acme.delete(f"/{other}/actions/{action['id']}")).status_code == 404
    assert (await acme.put(f"/{other}/actions/{action['id']}", json={"name": "A"})).status_code == 404
