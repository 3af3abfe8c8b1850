"""The OpenAPI document of the Integrations API."""

from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from tests.api.odeus.conftest import client_of

pytestmark = pytest.mark.anyio

ALWAYS = {"401", "403", "429", "500", "503"}


@pytest.fixture
async def document(app: Starlette) -> dict[str, Any]:
    async with client_of(app, None) as nobody:
        answer = await nobody.get("/openapi.json")
    found: dict[str, Any] = answer.json()
    return found


async def test_every_published_route_is_documented_with_all_its_answers(document: dict[str, Any]) -> None:
    body = {"400", "404", "413", "415"}
    expected = {
        ("get", "/get"): {"200"},
        ("post", "/create"): {"201", "400", "413", "415"},
        ("get", "/{integrationId}"): {"200", "400", "404"},
        ("patch", "/{integrationId}"): {"200", *body},
        ("patch", "/{integrationId}/auth"): {"200", *body},
        ("get", "/{integrationId}/icon"): {"200", "400", "404"},
        ("put", "/{integrationId}/icon"): {"200", "400", "404", "413"},
        ("get", "/{integrationId}/icon/image"): {"200", "400", "404"},
        ("post", "/{integrationId}/triggers/create"): {"201", "409", *body},
        ("put", "/{integrationId}/triggers/{triggerId}"): {"200", "409", *body},
        ("delete", "/{integrationId}/triggers/{triggerId}"): {"200", "400", "404"},
        ("post", "/{integrationId}/actions/create"): {"201", "409", *body},
        ("put", "/{integrationId}/actions/{actionId}"): {"200", "409", *body},
        ("delete", "/{integrationId}/actions/{actionId}"): {"200", "400", "404"},
    }

    assert {
        (method, path): set(operation["responses"])
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    } == {route: statuses | ALWAYS for route, statuses in expected.items()}


async def test_every_operation_has_an_id_and_asks_for_the_key(document: dict[str, Any]) -> None:
    operations = [operation for path in document["paths"].values() for operation in path.values()]

    assert document["info"]["title"] == "Integrations API"
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["security"] == [{"ApiKey": []}] for operation in operations)
    assert "HTTPValidationError" not in document["components"]["schemas"]


async def test_the_document_names_the_prefix_it_is_served_under(acme: httpx2.AsyncClient) -> None:
    for prefix in ("/integrations/v1", "/api/public/integrations/v1"):
        served = (await acme.get(f"http://hairtrigger.test{prefix}/openapi.json")).json()
        assert served["servers"][0] == {"url": prefix}


async def test_lengths_and_choices_are_in_the_document(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    assert schemas["TriggerBody"]["required"] == ["name"]
    assert schemas["TriggerBody"]["properties"]["name"]["maxLength"] == 100
    assert schemas["TriggerBody"]["properties"]["pollingCode"]["anyOf"][0]["maxLength"] == 1000
    assert schemas["InputField"]["properties"]["type"]["enum"] == [
        "TEXT",
        "MULTI_LINE_TEXT",
        "NUMBER",
        "BOOLEAN",
        "SELECT",
        "PASSWORD",
        "VECTOR",
    ]
