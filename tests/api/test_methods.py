"""Methods and paths as HTTP's users expect them, in all three APIs."""

import httpx2
import pytest

from tests.api.conftest import Tenant

pytestmark = pytest.mark.anyio

BY_ID = "/v1/connections/01890a5d-ac96-774b-bcce-b302099a8057"


@pytest.mark.parametrize("path", ["/livez", "/openapi.json", "/triggers", "/v1/projects", "/providers/rss/triggers"])
async def test_head_is_answered_as_get_without_the_body(tenant: Tenant, path: str) -> None:
    head, get = await tenant.client.head(path), await tenant.client.get(path)

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers == get.headers


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/triggers", {"GET", "HEAD"}),
        ("PATCH", "/triggers/x", {"GET", "DELETE", "HEAD"}),
        ("DELETE", "/projects/p/triggers", {"GET", "POST", "HEAD"}),
        ("GET", "/token", {"POST"}),
        ("PUT", BY_ID, {"GET", "PATCH", "DELETE", "HEAD"}),
        ("DELETE", "/v1/projects", {"GET", "POST", "HEAD"}),
    ],
)
async def test_a_wrong_method_is_told_all_the_right_ones(
    tenant: Tenant, method: str, path: str, allowed: set[str]
) -> None:
    answer = await tenant.client.request(method, path)

    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == allowed


async def test_a_slash_after_a_webhooks_address_changes_nothing(tenant: Tenant, anybody: httpx2.AsyncClient) -> None:
    project = await tenant.project("http://127.0.0.1:1/")
    id_, secret = await tenant.webhook(project["id"])

    answer = await anybody.post(f"/v1/webhooks/{id_}/", json={"n": 1}, headers={"x-webhook-secret": secret})

    assert (answer.status_code, answer.json()["status"]) == (200, "accepted")
