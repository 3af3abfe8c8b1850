"""An organisation of the service, and what it does through the public APIs."""

import asyncio
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx2

from tests.e2e.process import Client, Service

_PASSWORD = "correct horse battery staple"
_PATIENCE = 300  # seconds for an answer; generous, because the meter finds a service that stands still


@dataclass
class Organisation:
    service: Service
    client: Client
    id: str
    email: str
    key: str
    project: str = ""
    projects: list[str] = field(default_factory=list)

    async def create_project(self, target: dict[str, Any], **more: Any) -> str:
        body = {"name": "Project", "target": target, **more}
        self.project = (await self.client.ask("POST", "/v1/projects", body, status=201))["id"]
        return self.project

    async def create_integration(self, code: str, *inputs: str) -> tuple[str, str]:
        """Create an integration with one trigger; return the integration's id and the trigger's slug."""
        made = await self.client.ask("POST", "/integrations/v1/create", {"name": "Integration"}, status=201)
        id_ = made["integration"]["id"]
        fields = [{"label": one, "type": "TEXT", "required": True} for one in inputs]
        body = {"name": "Item created", "pollingCode": code, "inputFields": fields}
        trigger = await self.client.ask("POST", f"/integrations/v1/{id_}/triggers/create", body, status=201)
        return id_, trigger["trigger"]["slug"]

    async def create_trigger(
        self, provider: str, trigger: str, params: dict[str, Any], *, secret: str | None = None, enable: bool = True
    ) -> str:
        """Create a trigger in the project that was created last, and enable it if `enable` is true."""
        body = {"provider_id": provider, "trigger_id": trigger, "trigger_config_params": params}
        made = await self.client.ask("POST", f"/projects/{self.project}/triggers", body, status=201)
        id_ = str(made["project_trigger_id"])
        if secret:
            await self.client.ask("POST", f"/v1/project-triggers/{id_}/secret", {"secret": secret})
        if enable:
            await self.client.ask("POST", f"/triggers/{id_}/enable")
        return id_

    async def poll(self, trigger: str) -> dict[str, Any]:
        """Poll the trigger now, and return how the poll ended.

        If the service is already polling the trigger, wait for an outcome of a poll and return that.
        """
        answer = await self.client.send("POST", f"/v1/project-triggers/{trigger}/poll")
        if answer.status_code != httpx2.codes.CONFLICT:
            assert answer.is_success, f"a poll was answered with {answer.status_code}: {answer.text[:300]}"
            return dict(answer.json())
        while True:
            shown = await self.client.ask("GET", f"/v1/project-triggers/{trigger}")
            if polls := [one for one in shown["outcomes"] if one["kind"] == "poll"]:
                return dict(polls[0])
            await asyncio.sleep(0.1)

    async def dry_run(self, code: str, **more: Any) -> dict[str, Any]:
        """Run polling code as a dry run, and return the report."""
        answer = await self.client.send("POST", "/v1/polling-code/dry-run", {"code": code, **more})
        assert answer.is_success, f"a dry run was answered with {answer.status_code}: {answer.text[:300]}"
        return dict(answer.json())

    async def delete_trigger(self, trigger: str) -> None:
        await self.client.ask("DELETE", f"/triggers/{trigger}", status=204)


async def create(service: Service, operator: Client, name: str) -> Organisation:
    """Create an organisation, with an API key that has all scopes."""
    email = f"{uuid4()}@example.com"
    new = {"name": name, "email": email, "password": _PASSWORD}
    made = await operator.ask("POST", "/v1/organizations", new, status=201)
    user = Client(service, await token(service, email, _PASSWORD))
    scopes = ["INTEGRATION_API", "ASSISTANT_API", "TRIGGER_API"]
    key = await user.ask("POST", "/v1/api-keys", {"name": name, "scopes": scopes}, status=201)
    await user.close()
    return Organisation(service, Client(service, key["key"], _PATIENCE), made["id"], email, key["key"])


async def token(service: Service, email: str, password: str) -> str:
    client = Client(service)
    form = {"grant_type": "password", "username": email, "password": password}
    answer = await client.ask("POST", "/token", data=form)
    await client.close()
    return str(answer["access_token"])
