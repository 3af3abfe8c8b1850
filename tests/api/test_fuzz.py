"""Every operation of the three OpenAPI documents answers requests that fit its schema, and requests that do not.

Each answer is one that the document describes. It is a 5xx only where the document says so, and never a 500 or 503.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import requests
import schemathesis
import uvicorn
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from hairtrigger.domain.caller import SCOPES, Caller
from hairtrigger.main import Application, running
from hairtrigger.settings import Settings
from tests.support.documents import integrations_document, own_document, projects_document
from tests.support.waiting import PATIENCE

EXAMPLES = 15  # for each operation
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
PROJECTS, INTEGRATIONS, OWN = "", "/integrations/v1", "/v1"
NOWHERE = "http://127.0.0.1:1/"  # a private address, which this service may not call
DOCUMENTS = {PROJECTS: projects_document, INTEGRATIONS: integrations_document, OWN: own_document}

Operation = APIOperation[Any, Any, Any, Any]
Known = Sequence[Mapping[str, Any]]
"""Values of things that exist and belong together, by the names of parameters and of fields in bodies."""


@dataclass(frozen=True)
class Served:
    url: str
    session: requests.Session
    known: Mapping[str, Known]  # by the prefix of an API


def _operations() -> Iterator[Any]:
    for prefix, document in DOCUMENTS.items():
        for found in schemathesis.openapi.from_dict(json.loads(document())).get_all_operations():
            assert isinstance(found, Ok)
            operation = found.ok()
            yield pytest.param(prefix, operation, id=f"{operation.method.upper()} {prefix}{operation.path}")


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    """Run the service in its own thread and event loop, because schemathesis blocks."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(_serving(folder / "fuzz")) as (url, token, known),
        requests.Session() as session,
    ):
        session.headers["authorization"] = f"Bearer {token}"
        session.trust_env = False
        yield Served(url, session, known)


@pytest.mark.parametrize(("prefix", "operation"), list(_operations()))
def test_an_operation_answers_anything_as_its_document_says(prefix: str, operation: Operation, served: Served) -> None:
    known = [] if operation.method == "delete" else served.known[prefix]  # so it deletes nothing that others use

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=_cases(operation), values=st.sampled_from([{}, *known]))
    def ask(case: Case[Operation], values: Mapping[str, Any]) -> None:
        for part in (case.path_parameters, case.query, case.body):
            if isinstance(part, dict):
                part.update({name: value for name, value in values.items() if name in part})
        assume("%0A" not in case.formatted_path)  # no route matches a line break, so no API is reached
        answer = case.call_and_validate(served.url + prefix, served.session, checks=CHECKS)
        assert answer.status_code not in {500, 503}, "the service broke, and its document can't excuse that"

    ask()


def _cases(operation: Operation) -> st.SearchStrategy[Case[Operation]]:
    return st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode))


@asynccontextmanager
async def _serving(folder: Path) -> AsyncIterator[tuple[str, str, Mapping[str, Known]]]:
    configured = Settings(
        data_dir=folder,
        sandbox_workers=1,
        integration_requests_per_minute=1_000_000,
        max_body_bytes=100_000,
        shutdown_seconds=0,
        provider_urls=dict.fromkeys(("github", "slack", "stripe", "typeform"), NOWHERE),
    )
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with running(configured) as app, asyncio.TaskGroup() as tasks:
        server = uvicorn.Server(uvicorn.Config(app.asgi, log_config=None, access_log=False, lifespan="off"))
        tasks.create_task(server.serve(sockets=[listener]))
        try:
            yield url, *await _filled(app, url)
        finally:
            server.should_exit = True


async def _filled(app: Application, url: str) -> tuple[str, Mapping[str, Known]]:
    """Make things of each kind, so that some ids exist; return an API key and the known values of each API."""
    email = f"{uuid4()}@example.com"  # the tests may run again in the same folder
    organization, user = await app.accounts.create_organization("Org", email, "correct horse battery")
    _, key = await app.accounts.create_key(Caller(organization.id, user.id, frozenset(SCOPES)), "Key", SCOPES)
    async with httpx2.AsyncClient(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=PATIENCE) as client:

        async def made(path: str, body: Any = None) -> Any:
            answer = await client.post(path, json=body)
            assert answer.is_success, answer.text
            return answer.json()

        async def instance(provider: str, trigger: str, params: Any, connection: str | None = None) -> dict[str, Any]:
            chosen = {"provider_id": provider, "trigger_id": trigger, "connection_id": connection}
            new = await made(f"/projects/{project}/triggers", {**chosen, "trigger_config_params": params})
            return {**chosen, "trigger_config_params": params, "project_trigger_id": new["project_trigger_id"]}

        project = (await made("/v1/projects", {"name": "Project", "target": {"kind": "log"}}))["id"]
        stripe = (await made("/v1/connections", {"provider_id": "stripe", "secrets": {"api_key": "key"}}))["id"]
        schedule = await instance("schedule", "on_schedule", {"interval": "1h"})
        instances = [
            schedule,
            await instance("webhook", "on_request", {}),
            await instance("rss", "on_item_published", {"url": NOWHERE}),
            await instance("stripe", "on_customer_created", {}, stripe),
        ]
        by_key = f"/organizations/{organization.id}/triggers/{schedule['project_trigger_id']}/scheduled/key/{key}"
        await made(f"/triggers/{schedule['project_trigger_id']}/enable")
        event = (await made(by_key))["events"][0]

        integration = (await made("/integrations/v1/create", {"name": "Integration"}))["integration"]["id"]
        code = {"name": "Trigger", "pollingCode": "return []"}
        trigger = (await made(f"/integrations/v1/{integration}/triggers/create", code))["trigger"]["id"]
        action = (await made(f"/integrations/v1/{integration}/actions/create", {"name": "Action"}))["action"]["id"]
    here = {"org_id": str(organization.id), "api_key": key, "project_id": project}
    own = {"event_id": event, "delivery_id": event, "target": {"kind": "log"}}
    return key, {
        PROJECTS: [{**here, **one} for one in instances],
        INTEGRATIONS: [{"integrationId": integration, "triggerId": trigger, "actionId": action}],
        OWN: [{**here, **own, **one, "connection_id": stripe} for one in instances],
    }
