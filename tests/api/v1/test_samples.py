"""Test samples of triggers with polling code: they are made by the user's code, and hide what is secret."""

from typing import Any

import pytest

from hairtrigger.domain.caller import SCOPES
from tests.api.conftest import Tenant
from tests.api.v1.test_polling_code import written

pytestmark = pytest.mark.anyio

CODES = {
    "throw new Error('boom')": "boom",
    "throw 5": "5",
    "return 5": "array",
    "return": "array",
    "while (true) {}": "CPU",
    "await new Promise(() => {})": "await",
    "return [1n]": "BigInt",
    "const a = []; a.push(a); return a": "circular",
    "return [undefined].map((one) => one.x)": "undefined",
    "return (function f() { return f() })()": "stack",
    "return [new Proxy({}, { get() { throw new Error('trap') } })]": "trap",
    "return new Array(2000).fill({})": "1000",
    "const x = {}; let y = x; for (let i = 0; i < 1000; i++) y = y.x = {}; return [x]": "deep",
}


@pytest.mark.parametrize(("code", "said"), CODES.items(), ids=range(len(CODES)))
async def test_samples_of_code_that_fails_are_502_with_the_sentence(tenant: Tenant, code: str, said: str) -> None:
    id_ = await _trigger(tenant, {"name": "New", "pollingCode": code})

    answer = await tenant.client.get(f"/api/v0/project-triggers/{id_}/test-samples")

    assert answer.status_code == 502, answer.text
    assert said.lower() in answer.json()["detail"].lower()


async def test_samples_hide_secrets(tenant: Tenant) -> None:
    fields = [{"label": "Api Token", "type": "PASSWORD"}, {"label": "Board"}]
    code = "return [{id: 1, at: 'x' + inputs.apiToken, by: secrets.key, board: inputs.board}]"
    key = {"authorization": f"Bearer {await tenant.key(*SCOPES)}"}
    integration, made = await written(tenant, {"name": "New", "pollingCode": code, "inputFields": fields})
    auth = {"authType": "API_KEY", "authFields": [{"slug": "key", "label": "Key", "type": "PASSWORD"}]}
    changed = await tenant.client.patch(f"/integrations/v1/{integration}/auth", json=auth, headers=key)
    assert changed.status_code == 200, changed.text
    body = {"provider_id": integration, "secrets": {"key": "connection-secret"}}
    connection = await tenant.ask("POST", "/v1/connections", body, status=201)
    project = await tenant.project("http://127.0.0.1:1/")
    config = {"apiToken": "input-secret", "board": "open"}
    id_ = await tenant.trigger(project["id"], integration, made["slug"], config, connection["id"])

    found = await tenant.ask("GET", f"/api/v0/project-triggers/{id_}/test-samples")

    assert found["samples"] == [{"id": 1, "at": "x***", "by": "***", "board": "open"}]


async def test_samples_without_the_connection_they_need_are_400(tenant: Tenant) -> None:
    project = await tenant.project("http://127.0.0.1:1/")
    id_ = await tenant.trigger(project["id"], "stripe", "on_customer_created", {})

    found = await tenant.ask("GET", f"/api/v0/project-triggers/{id_}/test-samples", status=400)

    assert "connection to 'stripe'" in found["detail"]


async def test_a_trigger_without_code_is_not_enabled_and_has_no_samples(tenant: Tenant) -> None:
    id_ = await _trigger(tenant, {"name": "New"})

    for method, path in (("POST", f"/triggers/{id_}/enable"), ("GET", f"/api/v0/project-triggers/{id_}/test-samples")):
        assert "no polling code" in (await tenant.ask(method, path, status=400))["detail"]
    assert (await tenant.ask("GET", f"/triggers/{id_}"))["status"] == "DISABLED"


async def _trigger(tenant: Tenant, body: dict[str, Any]) -> str:
    integration, made = await written(tenant, body)
    project = await tenant.project("http://127.0.0.1:1/")
    return await tenant.trigger(project["id"], integration, made["slug"], {})
