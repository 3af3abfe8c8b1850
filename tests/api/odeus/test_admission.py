"""The Integrations API checks keys, scopes and the rate limit, and refuses browsers."""

from datetime import timedelta
from itertools import product
from uuid import UUID, uuid4

import httpx2
import pytest
from starlette.applications import Starlette

from hairtrigger.api.odeus.app import odeus_app
from hairtrigger.domain.caller import ASSISTANT_API, INTEGRATION_API, TRIGGER_API, Caller
from hairtrigger.services.accounts import Accounts
from hairtrigger.services.setup.integrations import Integrations
from hairtrigger.store.database import Store
from tests.api.odeus.conftest import BASE, an_owner, client_of, mounted
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

INVALID_KEY = {"message": "The provided API key is invalid."}
ID = "01890a5d-ac96-774b-bcce-b302099a8057"
ROUTES = [
    ("GET", "/get"),
    ("POST", "/create"),
    ("GET", f"/{ID}"),
    ("PATCH", f"/{ID}"),
    ("PATCH", f"/{ID}/auth"),
    ("GET", f"/{ID}/icon"),
    ("PUT", f"/{ID}/icon"),
    ("GET", f"/{ID}/icon/image"),
    ("POST", f"/{ID}/triggers/create"),
    ("PUT", f"/{ID}/triggers/{ID}"),
    ("DELETE", f"/{ID}/triggers/{ID}"),
    ("POST", f"/{ID}/actions/create"),
    ("PUT", f"/{ID}/actions/{ID}"),
    ("DELETE", f"/{ID}/actions/{ID}"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_without_a_key_every_route_answers_401_before_it_looks_at_the_rest(
    app: Starlette, method: str, path: str
) -> None:
    async with client_of(app, None) as nobody:
        answer = await nobody.request(method, path, content=b"{", headers={"content-type": "application/json"})

    assert answer.status_code == 401
    assert answer.json() == INVALID_KEY
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_without_the_scope_every_route_answers_403_before_it_looks_at_the_rest(
    app: Starlette, accounts: Accounts, owner: Caller, method: str, path: str
) -> None:
    _, key = await accounts.create_key(owner, "Key", [TRIGGER_API])
    async with client_of(app, key) as client:
        answer = await client.request(method, path, content=b"{", headers={"content-type": "application/json"})

    assert answer.status_code == 403
    assert "INTEGRATION_API" in answer.json()["message"]


@pytest.mark.parametrize(
    "authorization",
    ["Bearer", "Bearer ", "Bearer htk_", "Bearer htk_wrong", "Basic dXNlcjpwdw==", "htk_x", "Bearer é", "Bearer a b"],
)
async def test_what_is_not_a_key_answers_401(app: Starlette, authorization: str) -> None:
    async with client_of(app, None) as client:
        answer = await client.get("/get", headers=[(b"authorization", authorization.encode())])

    assert (answer.status_code, answer.json()) == (401, INVALID_KEY)


async def test_a_changed_a_cut_an_expired_and_a_removed_key_answer_401(
    app: Starlette, accounts: Accounts, owner: Caller, clock: ManualClock
) -> None:
    _, expiring = await accounts.create_key(owner, "Key", [INTEGRATION_API], clock.now() + timedelta(minutes=1))
    removed, gone = await accounts.create_key(owner, "Key", [INTEGRATION_API])
    await accounts.remove_key(owner.org_id, removed.id)
    clock.advance(timedelta(minutes=1))

    for key in (expiring, gone, gone[:-1], gone.swapcase()):
        async with client_of(app, key) as client:
            assert (await client.get("/get")).status_code == 401


async def test_an_access_token_of_a_user_is_not_a_key(app: Starlette, accounts: Accounts) -> None:
    email = f"{uuid4()}@example.com"
    await accounts.create_organization("Org", email, "password")
    token = await accounts.log_in(email, "password")
    async with client_of(app, token) as client:
        answer = await client.get("/get")

    assert (answer.status_code, answer.json()) == (401, INVALID_KEY)


async def test_the_scope_assistant_api_lists_and_does_nothing_else(
    app: Starlette, accounts: Accounts, owner: Caller
) -> None:
    _, key = await accounts.create_key(owner, "Key", [ASSISTANT_API])
    async with client_of(app, key) as client:
        assert (await client.get("/get")).status_code == 200
        assert (await client.post("/create", json={"name": "Tracker"})).status_code == 403


async def test_both_published_prefixes_serve_it(app: Starlette, acme: httpx2.AsyncClient, tracker: str) -> None:
    public = await acme.get(f"http://hairtrigger.test/api/public/integrations/v1/{tracker}")

    assert public.json() == (await acme.get(f"/{tracker}")).json()


# -- browsers


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        *product(
            ("GET", "POST", "OPTIONS"),
            (
                {"Origin": "https://app.example.com"},
                {"Origin": "null"},
                {"Sec-Fetch-Site": "cross-site"},
                {"Sec-Fetch-Site": "same-origin"},
                {"Sec-Fetch-Site": ""},
                {"Origin": "https://a.example", "Sec-Fetch-Site": "none"},
            ),
        ),
        ("OPTIONS", {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}),
    ],
)
async def test_a_request_from_a_web_page_is_refused_without_cors_headers(
    acme: httpx2.AsyncClient, method: str, headers: dict[str, str]
) -> None:
    answer = await acme.request(method, "/create", json={"name": "Tracker"}, headers=headers)

    assert answer.status_code == 403
    assert "Browsers" in answer.json()["message"]
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_page_is_refused_before_its_key_is_looked_at(app: Starlette) -> None:
    async with client_of(app, None) as nobody:
        answer = await nobody.get("/nowhere", headers={"Origin": "https://a.example"})

    assert answer.status_code == 403


async def test_an_address_typed_into_a_browser_is_not_a_page(acme: httpx2.AsyncClient) -> None:
    answer = await acme.get("/get", headers={"Sec-Fetch-Site": "none"})

    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_the_browser_block_can_be_switched_off(
    integrations: Integrations, accounts: Accounts, owner: Caller
) -> None:
    _, key = await accounts.create_key(owner, "Key", [INTEGRATION_API])
    api = odeus_app(integrations, accounts, block_browsers=False)
    async with client_of(mounted(api), key) as client:
        answer = await client.get("/get", headers={"Origin": "https://a.example"})

    assert answer.status_code == 200


# -- rate limit


async def test_all_keys_of_an_organisation_share_one_limit(
    integrations: Integrations, accounts: Accounts, owner: Caller, store: Store, clock: ManualClock
) -> None:
    app = mounted(odeus_app(integrations, accounts, requests_per_minute=3))
    keys = [(await accounts.create_key(owner, "Key", [INTEGRATION_API]))[1] for _ in range(2)]
    _, other = await accounts.create_key(await an_owner(store, clock), "Key", [INTEGRATION_API])

    async with client_of(app, keys[0]) as one, client_of(app, keys[1]) as two, client_of(app, other) as rival:
        allowed = [(await client.get("/get")).status_code for client in (one, two, one)]
        refused = await two.get(f"/{uuid4()}")
        unaffected = await rival.get("/get")

    assert allowed == [200, 200, 200]
    assert refused.status_code == 429
    assert refused.json() == {"message": "Rate limit for public API exceeded"}
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert unaffected.status_code == 200


async def test_five_hundred_requests_a_minute_are_allowed(acme: httpx2.AsyncClient) -> None:
    statuses = [(await acme.get("/not-an-id")).status_code for _ in range(501)]

    assert statuses == [*[400] * 500, 429]


# -- routes that do not exist, and bugs


@pytest.mark.parametrize("path", ["/", "/get/", f"/{ID}/", "/a/b", "//triggers/create", f"/{ID}/triggers/"])
async def test_an_unknown_route_is_404_and_never_a_redirect(acme: httpx2.AsyncClient, path: str) -> None:
    answer = await acme.post(BASE + path)

    assert answer.status_code in (404, 405)
    assert answer.json() in ({"message": "Not Found"}, {"message": "Method Not Allowed"})


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/get", {"GET", "PATCH", "HEAD"}),
        ("PUT", "/create", {"GET", "POST", "PATCH", "HEAD"}),
        ("POST", f"/{ID}", {"GET", "PATCH", "HEAD"}),
        ("POST", f"/{ID}/icon", {"GET", "PUT", "HEAD"}),
        ("GET", f"/{ID}/triggers/{ID}", {"PUT", "DELETE"}),
        ("OPTIONS", "/get", {"GET", "PATCH", "HEAD"}),
    ],
)
async def test_a_wrong_method_is_405_and_says_which_are_right(
    acme: httpx2.AsyncClient, method: str, path: str, allowed: set[str]
) -> None:
    answer = await acme.request(method, path)

    assert answer.status_code == 405
    assert answer.json() == {"message": "Method Not Allowed"}
    assert set(answer.headers["allow"].split(", ")) == allowed


async def test_a_bug_is_500_and_says_nothing(accounts: Accounts, owner: Caller, integrations: Integrations) -> None:
    _, key = await accounts.create_key(owner, "Key", [INTEGRATION_API])

    async def broken(_: UUID, code: str) -> None:
        raise RuntimeError(code)

    api = odeus_app(
        Integrations(store=integrations.store, clock=integrations.clock, vault=integrations.vault, syntax=broken),
        accounts,
    )
    async with client_of(mounted(api), key) as client:
        answer = await client.post(f"/{ID}/triggers/create", json={"name": "T", "pollingCode": "secret"})

    assert (answer.status_code, answer.json()) == (500, {"message": "Internal Server Error"})
