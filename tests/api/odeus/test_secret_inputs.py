"""Only the polling code of a user's trigger sees the value of its PASSWORD input."""

import pytest
from sqlalchemy import text

from tests.api.conftest import Tenant
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

VALUE = "hunter2 in the clear"


async def test_a_password_input_reaches_the_code_and_is_never_stored_or_shown_in_the_clear(tenant: Tenant) -> None:
    headers = {"authorization": f"Bearer {await tenant.key('INTEGRATION_API')}"}
    made = await tenant.client.post("/integrations/v1/create", json={"name": "Vault"}, headers=headers)
    integration = made.json()["integration"]["id"]
    body = {
        "name": "Peek",
        "pollingCode": "return [{ id: 1, length: inputs.passPhrase.length, polite: inputs.greeting }];",
        "inputFields": [
            {"label": "Pass phrase", "type": "PASSWORD", "required": True},
            {"label": "Greeting", "type": "TEXT"},
        ],
    }
    path = f"/integrations/v1/{integration}/triggers/create"
    assert (await tenant.client.post(path, json=body, headers=headers)).status_code == 201
    project = await tenant.ask("POST", "/v1/projects", {"name": "P", "target": {"kind": "log"}}, status=201)
    params = {"Pass phrase": VALUE, "greeting": "hello", "polling_frequency": 3600}

    id_ = await tenant.trigger(project["id"], integration, "peek", params)

    shown = (await tenant.ask("GET", f"/triggers/{id_}"))["trigger_config"]
    assert shown == {"Pass phrase": "********", "greeting": "hello", "polling_frequency": 3600}
    async with tenant.app.store.transaction() as tx:
        stored = await tx.connection.execute(
            text("SELECT config FROM project_trigger WHERE id = CAST(:id AS uuid)"), {"id": id_}
        )
        assert VALUE not in str(stored.scalar_one())
    await tenant.ask("POST", f"/triggers/{id_}/enable")

    async def events() -> list[dict[str, str]]:
        found: list[dict[str, str]] = (await tenant.ask("GET", "/v1/events"))["data"]
        return found

    [event] = await until(events)
    found = (await tenant.ask("GET", f"/v1/events/{event['id']}"))["body"]
    assert found == f'{{"id":1,"length":{len(VALUE)},"polite":"hello"}}'
