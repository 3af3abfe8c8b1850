"""The routes for OAuth, and the page that a user's browser sees."""

import json

import httpx2
import pytest

from tests.api.conftest import Tenant
from tests.support.oauth_server import query

pytestmark = pytest.mark.anyio

EVIL = "<script>alert(1)</script>\" onload='x"


async def test_a_client_s_secret_goes_in_and_never_comes_out(tenant: Tenant, stranger: Tenant) -> None:
    body = {"client_id": "Iv1.mine", "client_secret": "s3cr3t-of-the-app"}
    stored = await tenant.ask("PUT", "/v1/oauth-clients/github", body)
    assert stored["redirect_uri"] == "http://hairtrigger.test/v1/oauth/callback"
    assert (stored["provider_id"], stored["client_id"]) == ("github", "Iv1.mine")
    listed = await tenant.ask("GET", "/v1/oauth-clients")
    assert listed["data"] == [stored]
    assert "s3cr3t" not in json.dumps(listed)
    assert (await stranger.ask("GET", "/v1/oauth-clients"))["data"] == []
    assert (await stranger.client.delete("/v1/oauth-clients/github")).status_code == 404
    answer = await tenant.client.put("/v1/oauth-clients/nobody", json=body)
    assert (answer.status_code, "s3cr3t" in answer.text) == (404, False)
    assert (await tenant.client.delete("/v1/oauth-clients/github")).status_code == 204
    answer = await tenant.client.post("/v1/authorizations", json={"provider_id": "github"})
    assert (answer.status_code, "PUT /v1/oauth-clients/github" in answer.text) == (400, True)


async def test_an_authorization_is_begun_and_a_refusal_is_shown_without_its_markup(
    tenant: Tenant, anybody: httpx2.AsyncClient
) -> None:
    await tenant.ask("PUT", "/v1/oauth-clients/github", {"client_id": "mine", "client_secret": "secret of the app"})
    made = await tenant.ask("POST", "/v1/authorizations", {"provider_id": "github", "name": "Mine"}, status=201)
    asked = query(made["url"])
    assert made["url"].startswith("https://github.com/login/oauth/authorize?response_type=code&client_id=mine&")
    assert (asked["code_challenge_method"], asked["scope"]) == ("S256", "repo admin:repo_hook")
    path = f"/v1/authorizations/{made['id']}"
    assert (await tenant.ask("GET", path))["status"] == "pending"

    answer = {"error": "access_denied", "error_description": EVIL, "state": asked["state"]}
    page = await anybody.get("/v1/oauth/callback", params=answer)
    assert page.status_code == 400
    assert "<script" not in page.text
    assert "&lt;script&gt;alert(1)" in page.text
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-content-type-options"] == "nosniff"
    found = await tenant.ask("GET", path)
    assert (found["status"], found["connection_id"]) == ("failed", None)
    again = await anybody.get("/v1/oauth/callback", params=answer)
    assert (again.status_code, "not expected" in again.text) == (404, True)


@pytest.mark.parametrize("params", ["", "state=", "state=a&state=b", "code=c", "state=" + "A" * 54, "state=%00%ff"])
async def test_an_answer_that_is_not_ours_is_not_found(anybody: httpx2.AsyncClient, params: str) -> None:
    page = await anybody.get(f"/v1/oauth/callback?{params}")
    assert page.status_code == 404
    assert page.headers["cache-control"] == "no-store"


async def test_ways_to_connect_are_shown(tenant: Tenant) -> None:
    github = await tenant.ask("GET", "/v1/providers/github")
    assert [(one["way"], one["kind"], [f["name"] for f in one["fields"]], one["device"]) for one in github["ways"]] == [
        (None, "key", ["token"], False),
        ("oauth", "oauth", [], True),
        ("app", "app_installation", ["installation_id", "app_id", "private_key"], False),
    ]


async def test_a_key_that_is_none_is_refused_with_its_field(tenant: Tenant) -> None:
    secrets = {"installation_id": "1", "app_id": "2", "private_key": "-----BEGIN RSA PRIVATE KEY-----\nno\n"}
    answer = await tenant.client.post(
        "/v1/connections", json={"provider_id": "github", "way": "app", "secrets": secrets}
    )
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, ["secrets", "private_key"])
    answer = await tenant.client.post("/v1/connections", json={"provider_id": "github", "way": "none", "secrets": {}})
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, ["way"])


async def test_a_product_s_user_connects_an_account_under_a_link(tenant: Tenant, anybody: httpx2.AsyncClient) -> None:
    asked = {"provider_id": "stripe", "external_user_id": "user/1", "name": "Hidden", "expires_in": 600}
    link = await tenant.ask("POST", "/v1/connect-links", asked, status=201)
    assert link["url"].startswith("http://hairtrigger.test/v1/connect/")
    shown = await anybody.get(link["url"])
    assert (shown.status_code, "Org asks you to connect your account at Stripe." in shown.text) == (200, True)
    assert "Hidden" not in shown.text
    assert "<script" not in shown.text
    answer = await anybody.post(link["url"], data={"api_key": "sk_test_1"})
    assert (answer.status_code, "Connected" in answer.text) == (200, True)
    assert (await anybody.post(link["url"], data={"api_key": "sk_test_1"})).status_code == 404
    assert (await anybody.post(link["url"], content=b"x" * 200_000)).status_code in {404, 413}
    found = await tenant.ask("GET", f"/v1/connect-links/{link['id']}")
    assert "url" not in found
    listed = await tenant.ask("GET", "/v1/connections?external_user_id=user/1")
    assert [one["id"] for one in listed["data"]] == [found["connection_id"]]

    project = await tenant.project("http://127.0.0.1:1/")
    body = {"provider_id": "webhook", "trigger_id": "on_request", "external_user_id": "user/1"}
    made = await tenant.ask("POST", f"/projects/{project['id']}/triggers", body, status=201)
    assert "external_user_id" not in made  # Stack AI's own answer has no such field
    id_ = made["project_trigger_id"]
    assert (await tenant.ask("GET", f"/v1/project-triggers/{id_}"))["external_user_id"] == "user/1"
    page = await tenant.ask("GET", "/v1/project-triggers?external_user_id=user/1")
    assert [(one["id"], one["external_user_id"]) for one in page["data"]] == [(id_, "user/1")]
    assert (await tenant.ask("GET", "/v1/project-triggers?external_user_id=user/2"))["data"] == []
    gone = await tenant.ask("DELETE", "/v1/external-users/user%2F1")
    assert gone == {"triggers": 1, "connections": 1}
    assert (await tenant.ask("GET", "/v1/connections?external_user_id=user/1"))["data"] == []
    assert (await tenant.client.get(f"/triggers/{id_}")).status_code == 404


async def test_a_field_of_a_link_s_page_that_is_too_large_is_refused(
    tenant: Tenant, anybody: httpx2.AsyncClient
) -> None:
    link = await tenant.ask("POST", "/v1/connect-links", {"provider_id": "stripe"}, status=201)
    for content in (b"api_key=" + b"x" * 10_000, b"&".join([b"a=1"] * 100), b"api_key=%ff%fe", b"api_key="):
        assert (await anybody.post(link["url"], content=content)).status_code == 422
    assert (await anybody.post(link["url"], content=b"x" * 200_000)).status_code == 413
    assert (await tenant.ask("GET", f"/v1/connect-links/{link['id']}"))["used_at"] is None
