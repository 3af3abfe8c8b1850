"""Routes that list, create, get and change integrations, and set their authentication."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from hairtrigger.domain.caller import Caller
from hairtrigger.platform.vault import Vault
from hairtrigger.store.database import Store
from hairtrigger.store.setup import connections, integrations
from hairtrigger.store.setup.connections import Connection
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

EMOJI = "😀"


async def _whole(client: httpx2.AsyncClient, integration_id: str) -> dict[str, Any]:
    answer = await client.get(f"/{integration_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["integration"]
    return found


# -- create


async def test_a_created_integration_is_answered_with_its_id(acme: httpx2.AsyncClient, clock: ManualClock) -> None:
    answer = await acme.post("/create", json={"name": "  Tracker ", "description": "Issues", "id": "mine", "x": 1})

    assert answer.status_code == 201
    made = answer.json()["integration"]
    assert UUID(made.pop("id")).version == 7
    assert datetime.fromisoformat(made.pop("createdAt")) == clock.now()
    assert made == {"name": "Tracker", "description": "Issues"}


@pytest.mark.parametrize("description", [{}, {"description": None}, {"description": ""}])
async def test_a_description_may_be_left_out(acme: httpx2.AsyncClient, description: dict[str, Any]) -> None:
    answer = await acme.post("/create", json={"name": "Tracker", **description})

    assert answer.json()["integration"]["description"] == ""


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, ["name"]),
        ({"name": None}, ["name"]),
        ({"name": ""}, ["name"]),
        ({"name": "  \t "}, ["name"]),
        ({"name": 1}, ["name"]),
        ({"name": ["a"]}, ["name"]),
        ({"name": "n" * 41}, ["name"]),
        ({"name": EMOJI * 20 + "n"}, ["name"]),
        ({"name": "two\nlines"}, ["name"]),
        ({"name": "nul\0"}, ["name"]),
        ({"name": "Tracker", "description": "d" * 91}, ["description"]),
        ({"name": "Tracker", "description": EMOJI * 45 + "d"}, ["description"]),
        ({"name": "Tracker", "description": "nul\0"}, ["description"]),
        ({"name": "Tracker", "description": 1}, ["description"]),
        ([], []),
        ("Tracker", []),
        (None, []),
        (10**400, []),
    ],
)
async def test_a_body_that_breaks_the_rules_is_400_with_the_place(
    acme: httpx2.AsyncClient, body: Any, path: list[str]
) -> None:
    answer = await acme.post("/create", json=body)

    assert answer.status_code == 400
    [issue] = answer.json()["message"]
    assert issue["path"] == path
    assert issue["message"]
    assert issue["code"]


@pytest.mark.parametrize("body", [{"name": "n" * 40}, {"name": EMOJI * 20, "description": EMOJI * 45}])
async def test_the_longest_texts_are_accepted(acme: httpx2.AsyncClient, body: dict[str, str]) -> None:
    answer = await acme.post("/create", json=body)

    assert answer.status_code == 201
    assert answer.json()["integration"]["name"] == body["name"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"name": "\xff"}',
        b"\xff\xfe{}",
        b'{"name": "\\ud800"}',
        b'{"name": "Tracker", "description": "\\udc00\\ud800"}',
        b'{"name": NaN}',
        b'{"name": 1' + b"0" * 5000 + b"}",
        b"[" * 10_000,
    ],
)
async def test_what_is_not_a_json_object_is_400(acme: httpx2.AsyncClient, body: bytes) -> None:
    answer = await acme.post("/create", content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 400
    assert answer.json()["message"]


@pytest.mark.parametrize("media_type", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_a_body_of_another_type_is_415(acme: httpx2.AsyncClient, media_type: str | None) -> None:
    headers = {"content-type": media_type} if media_type else {}
    answer = await acme.post("/create", content=b'{"name": "Tracker"}', headers=headers)

    assert (answer.status_code, answer.json()) == (415, {"message": "Send the body as application/json."})


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON", "application/a+json"])
async def test_json_by_any_of_its_names_is_read(acme: httpx2.AsyncClient, media_type: str) -> None:
    answer = await acme.post("/create", content=b'{"name": "Tracker"}', headers={"content-type": media_type})

    assert answer.status_code == 201


async def test_a_huge_body_is_413_whether_or_not_it_says_so(acme: httpx2.AsyncClient) -> None:
    async def chunks() -> Any:
        for _ in range(3):
            yield b" " * 1024 * 1024

    json = {"content-type": "application/json"}
    declared = await acme.post("/create", content=b" " * 3 * 1024 * 1024, headers=json)
    chunked = await acme.post("/create", content=chunks(), headers=json)

    for answer in (declared, chunked):
        assert answer.status_code == 413
        assert "larger" in answer.json()["message"]


# -- list and get


async def test_the_list_shows_actions_but_not_their_code(
    acme: httpx2.AsyncClient, tracker: str, clock: ManualClock
) -> None:
    clock.advance(timedelta(seconds=1))
    await acme.post("/create", json={"name": "Second"})
    action = {"name": "Close", "description": "Closes an issue", "code": "return 1"}
    made = (await acme.post(f"/{tracker}/actions/create", json=action)).json()["action"]

    answer = await acme.get("/get")

    assert answer.status_code == 200
    [first, second] = answer.json()["integrations"]
    assert first == {
        "id": tracker,
        "name": "Tracker",
        "description": "",
        "authType": "NONE",
        "buildByLangdock": False,
        "actions": [{"id": made["id"], "name": "Close", "description": "Closes an issue"}],
    }
    assert second["name"] == "Second"
    assert second["actions"] == []


async def test_a_new_integration_is_found_with_nothing_in_it(acme: httpx2.AsyncClient, tracker: str) -> None:
    assert await _whole(acme, tracker) == {
        "id": tracker,
        "name": "Tracker",
        "description": "",
        "authType": "NONE",
        "authTestCode": None,
        "authFields": [],
        "oauthClient": None,
        "actions": [],
        "triggers": [],
    }


async def test_an_integration_is_found_with_its_actions_and_triggers(
    acme: httpx2.AsyncClient, tracker: str, clock: ManualClock
) -> None:
    triggers = []
    for body in ({"name": "Zeta", "pollingCode": "return []", "inputFields": [{"label": "A"}]}, {"name": "Alpha"}):
        clock.advance(timedelta(seconds=1))
        triggers.append((await acme.post(f"/{tracker}/triggers/create", json=body)).json()["trigger"])
    actions = [
        (await acme.post(f"/{tracker}/actions/create", json={"name": name, "code": "x"})).json()["action"]
        for name in ("Zeta", "Alpha")
    ]

    found = await _whole(acme, tracker)

    assert found["triggers"] == triggers
    assert found["actions"] == actions
    assert [action["order"] for action in actions] == [0, 1]


@pytest.mark.parametrize(
    "path", ["/not-a-uuid", "/123", "/%00", "/null", "/create", "/01890a5d-ac96-774b-bcce-b302099a8"]
)
async def test_an_id_that_is_none_is_400_with_a_sentence(acme: httpx2.AsyncClient, path: str) -> None:
    answer = await acme.get(path)

    assert answer.status_code == 400
    assert "integrationId" in answer.json()["message"]


async def test_an_unknown_integration_is_404(acme: httpx2.AsyncClient) -> None:
    answer = await acme.get(f"/{uuid4()}")

    assert (answer.status_code, answer.json()) == (404, {"message": "Integration not found"})


# -- change


async def test_a_patch_changes_what_it_names(acme: httpx2.AsyncClient, tracker: str) -> None:
    renamed = await acme.patch(f"/{tracker}", json={"name": "Issues"})
    described = await acme.patch(f"/{tracker}", json={"description": "All of them", "name": None, "color": "#fff"})
    nothing = await acme.patch(f"/{tracker}", json={})

    assert renamed.json() == {"integration": {"id": tracker, "name": "Issues", "description": ""}}
    expected = {"integration": {"id": tracker, "name": "Issues", "description": "All of them"}}
    assert described.json() == nothing.json() == expected
    assert (renamed.status_code, described.status_code, nothing.status_code) == (200, 200, 200)


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"name": "n" * 41},
        {"description": "d" * 91},
        {"color": "red"},
        {"color": "#12345"},
        {"color": "#ffffff\n"},
        {"iconUrl": "icon.png"},
        {"iconUrl": "javascript:alert(1)"},
        {"iconUrl": "data:image/png;base64,AA"},
        {"iconUrl": "ftp://example.com/icon.png"},
        {"iconUrl": 1},
    ],
)
async def test_a_patch_that_breaks_the_rules_changes_nothing(
    acme: httpx2.AsyncClient, tracker: str, body: dict[str, Any]
) -> None:
    before = await _whole(acme, tracker)
    answer = await acme.patch(f"/{tracker}", json={"name": "Other", **body})

    assert answer.status_code == 400
    assert answer.json()["message"][0]["path"] == list(body)
    assert await _whole(acme, tracker) == before


async def test_colour_and_icon_url_are_kept(
    acme: httpx2.AsyncClient, tracker: str, store: Store, owner: Caller
) -> None:
    await acme.patch(f"/{tracker}", json={"color": "#A3b4c5", "iconUrl": "https://example.com/icon.png?a=b"})
    async with store.transaction() as tx:
        found = await integrations.get(tx, owner.org_id, UUID(tracker))

    assert found
    assert (found.color, found.icon_url) == ("#A3b4c5", "https://example.com/icon.png?a=b")


# -- authentication


async def _connect(store: Store, owner: Caller, provider_id: str, clock: ManualClock) -> UUID:
    now = clock.now()
    connection = Connection(uuid4(), owner.org_id, provider_id, "Mine", b"sealed", owner.id, now, now)
    async with store.transaction() as tx:
        await connections.add(tx, connection)
    return connection.id


async def _connections(store: Store, owner: Caller) -> list[UUID]:
    async with store.transaction() as tx:
        return [one.id for one in await connections.of_organization(tx, owner.org_id)]


API_KEY = {
    "authType": "API_KEY",
    "authFields": [
        {"slug": "API_TOKEN", "label": "Token", "type": "PASSWORD", "required": True, "placeholder": "tok_…"},
        {"slug": "region", "label": "Region", "type": "TEXT", "description": "Where"},
    ],
    "authTestCode": "return fetch('https://api.example.com/me')",
}
OAUTH = {
    "authType": "OAUTH",
    "oauthClient": {
        "scopes": "read write",
        "authUrl": "https://example.com/authorize",
        "tokenUrl": "https://example.com/token",
        "clientId": "client",
        "clientSecret": "very secret",
        "label": "Example",
        "authorizationCode": "a",
        "accessTokenCode": "b",
        "refreshTokenCode": "c",
    },
}


async def test_authentication_is_set_and_read_back(acme: httpx2.AsyncClient, tracker: str) -> None:
    answer = await acme.patch(f"/{tracker}/auth", json=API_KEY)

    assert answer.status_code == 200
    assert answer.json()["integration"] == {
        "id": tracker,
        "authType": "API_KEY",
        "authTestCode": API_KEY["authTestCode"],
        "authFields": [
            {
                "slug": "API_TOKEN",
                "label": "Token",
                "type": "PASSWORD",
                "description": "",
                "placeholder": "tok_…",
                "required": True,
            },
            {
                "slug": "region",
                "label": "Region",
                "type": "TEXT",
                "description": "Where",
                "placeholder": None,
                "required": False,
            },
        ],
        "oauthClient": None,
    }
    found = await _whole(acme, tracker)
    assert {key: found[key] for key in answer.json()["integration"]} == answer.json()["integration"]


async def test_a_client_secret_is_sealed_and_never_shown(
    acme: httpx2.AsyncClient, tracker: str, store: Store, owner: Caller, vault: Vault
) -> None:
    answer = await acme.patch(f"/{tracker}/auth", json=OAUTH)
    async with store.transaction() as tx:
        stored = await integrations.get(tx, owner.org_id, UUID(tracker))

    expected = {key: value for key, value in OAUTH["oauthClient"].items() if key != "clientSecret"}  # type: ignore[attr-defined]
    assert answer.json()["integration"]["oauthClient"] == expected
    assert "very secret" not in (await acme.get(f"/{tracker}")).text + repr(stored)
    assert stored
    assert stored.oauth_secret
    assert vault.unseal(stored.oauth_secret, f"integration/{tracker}") == b"very secret"


async def test_changing_the_type_deletes_all_connections_of_this_integration_only(
    acme: httpx2.AsyncClient, tracker: str, store: Store, owner: Caller, clock: ManualClock
) -> None:
    other = str((await acme.post("/create", json={"name": "Other"})).json()["integration"]["id"])
    for provider in (tracker, tracker):
        await _connect(store, owner, provider, clock)
    kept = {await _connect(store, owner, provider, clock) for provider in (other, "stripe")}

    answer = await acme.patch(f"/{tracker}/auth", json=API_KEY)

    assert answer.status_code == 200
    assert set(await _connections(store, owner)) == kept


async def test_keeping_the_type_keeps_connections(
    acme: httpx2.AsyncClient, tracker: str, store: Store, owner: Caller, clock: ManualClock
) -> None:
    await acme.patch(f"/{tracker}/auth", json=API_KEY)
    connection = await _connect(store, owner, tracker, clock)

    changed = await acme.patch(f"/{tracker}/auth", json={"authType": "API_KEY"})
    refused = await acme.patch(f"/{tracker}/auth", json={"authType": "MAGIC"})

    assert (changed.status_code, refused.status_code) == (200, 400)
    assert await _connections(store, owner) == [connection]
    assert changed.json()["integration"]["authFields"] == []
    assert changed.json()["integration"]["authTestCode"] == API_KEY["authTestCode"]


async def test_another_type_keeps_nothing_of_the_one_before(
    acme: httpx2.AsyncClient, tracker: str, store: Store, owner: Caller
) -> None:
    await acme.patch(f"/{tracker}/auth", json={**OAUTH, "authTestCode": "x"})

    answer = await acme.patch(f"/{tracker}/auth", json={"authType": "NONE"})

    found = answer.json()["integration"]
    assert (found["authType"], found["authTestCode"], found["oauthClient"]) == ("NONE", None, None)
    async with store.transaction() as tx:
        stored = await integrations.get(tx, owner.org_id, UUID(tracker))
    assert stored
    assert stored.oauth_secret is None


async def test_a_secret_does_not_outlive_the_client_it_was_given_for(
    acme: httpx2.AsyncClient, tracker: str, store: Store, owner: Caller
) -> None:
    await acme.patch(f"/{tracker}/auth", json=OAUTH)
    elsewhere = {"authType": "OAUTH", "oauthClient": {"tokenUrl": "https://attacker.example/token"}}

    await acme.patch(f"/{tracker}/auth", json=elsewhere)

    async with store.transaction() as tx:
        stored = await integrations.get(tx, owner.org_id, UUID(tracker))
    assert stored
    assert stored.oauth_secret is None


def _auth_field(**changes: Any) -> dict[str, Any]:
    return {"authType": "API_KEY", "authFields": [{"slug": "s", "label": "L", "type": "TEXT", **changes}]}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, ["authType"]),
        ({"authType": "api_key"}, ["authType"]),
        ({"authType": "API_KEY", "authTestCode": "c" * 1001}, ["authTestCode"]),
        ({"authType": "API_KEY", "authTestCode": EMOJI * 500 + "c"}, ["authTestCode"]),
        (_auth_field(slug=""), ["authFields", 0, "slug"]),
        (_auth_field(slug="s" * 101), ["authFields", 0, "slug"]),
        (_auth_field(label="l" * 101), ["authFields", 0, "label"]),
        (_auth_field(type="BOOLEAN"), ["authFields", 0, "type"]),
        (_auth_field(description="d" * 501), ["authFields", 0, "description"]),
        (_auth_field(placeholder="p" * 201), ["authFields", 0, "placeholder"]),
        (_auth_field(required="yes"), ["authFields", 0, "required"]),
        ({"authType": "API_KEY", "authFields": [{"label": "L", "type": "TEXT"}]}, ["authFields", 0, "slug"]),
        ({"authType": "API_KEY", "authFields": _auth_field()["authFields"] * 2}, ["authFields"]),
        ({"authType": "OAUTH", "oauthClient": {"scopes": "s" * 2001}}, ["oauthClient", "scopes"]),
        ({"authType": "OAUTH", "oauthClient": {"clientId": "s" * 501}}, ["oauthClient", "clientId"]),
        ({"authType": "OAUTH", "oauthClient": {"clientSecret": "s" * 501}}, ["oauthClient", "clientSecret"]),
        ({"authType": "OAUTH", "oauthClient": {"label": "s" * 101}}, ["oauthClient", "label"]),
        ({"authType": "OAUTH", "oauthClient": {"authUrl": "nowhere"}}, ["oauthClient", "authUrl"]),
        ({"authType": "OAUTH", "oauthClient": {"accessTokenCode": "s" * 1001}}, ["oauthClient", "accessTokenCode"]),
    ],
)
async def test_authentication_that_breaks_the_rules_is_400_with_the_place(
    acme: httpx2.AsyncClient, tracker: str, body: dict[str, Any], path: list[Any]
) -> None:
    answer = await acme.patch(f"/{tracker}/auth", json=body)

    assert answer.status_code == 400
    assert [issue["path"] for issue in answer.json()["message"]] == [path]


@pytest.mark.parametrize("auth_type", ["NONE", "API_KEY", "OAUTH", "OAUTH_DCR"])
@pytest.mark.parametrize("field_type", ["TEXT", "MULTI_LINE_TEXT", "PASSWORD", "NUMBER", "EMBEDDING_MODEL"])
async def test_every_published_type_is_accepted(
    acme: httpx2.AsyncClient, tracker: str, auth_type: str, field_type: str
) -> None:
    answer = await acme.patch(f"/{tracker}/auth", json={**_auth_field(type=field_type), "authType": auth_type})

    assert answer.status_code == 200
    assert answer.json()["integration"]["authFields"][0]["type"] == field_type


# -- isolation


async def test_nobody_sees_or_touches_another_organisations_integration(
    acme: httpx2.AsyncClient, rival: httpx2.AsyncClient, tracker: str
) -> None:
    trigger = (await acme.post(f"/{tracker}/triggers/create", json={"name": "T"})).json()["trigger"]["id"]
    action = (await acme.post(f"/{tracker}/actions/create", json={"name": "A"})).json()["action"]["id"]
    own = (await rival.post("/create", json={"name": "Own"})).json()["integration"]["id"]
    before = await _whole(acme, tracker)
    icon = {"icon": ("icon.png", b"\x89PNG\r\n\x1a\n")}

    assert [one["id"] for one in (await rival.get("/get")).json()["integrations"]] == [own]
    for answer in (
        await rival.get(f"/{tracker}"),
        await rival.patch(f"/{tracker}", json={"name": "Mine"}),
        await rival.patch(f"/{tracker}/auth", json={"authType": "OAUTH"}),
        await rival.get(f"/{tracker}/icon"),
        await rival.get(f"/{tracker}/icon/image"),
        await rival.put(f"/{tracker}/icon", files=icon),
        await rival.post(f"/{tracker}/triggers/create", json={"name": "New"}),
        await rival.put(f"/{tracker}/triggers/{trigger}", json={"name": "New"}),
        await rival.delete(f"/{tracker}/triggers/{trigger}"),
        await rival.post(f"/{tracker}/actions/create", json={"name": "New"}),
        await rival.put(f"/{tracker}/actions/{action}", json={"name": "New"}),
        await rival.delete(f"/{tracker}/actions/{action}"),
    ):
        assert (answer.status_code, answer.json()) == (404, {"message": "Integration not found"})
    for answer in (
        await rival.put(f"/{own}/triggers/{trigger}", json={"name": "New"}),
        await rival.delete(f"/{own}/triggers/{trigger}"),
        await rival.put(f"/{own}/actions/{action}", json={"name": "New"}),
        await rival.delete(f"/{own}/actions/{action}"),
    ):
        assert answer.status_code == 404
    assert await _whole(acme, tracker) == before
