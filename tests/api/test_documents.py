"""The OpenAPI documents of the three APIs: valid, complete, and true of the addresses at which they are served."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import httpx2
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from tests.support.documents import integrations_document, own_document, projects_document

pytestmark = pytest.mark.anyio

DOCUMENTS = {
    "/openapi.json": json.loads(projects_document()),
    "/integrations/v1/openapi.json": json.loads(integrations_document()),
    "/v1/openapi.json": json.loads(own_document()),
}
all_documents = pytest.mark.parametrize("path", DOCUMENTS)


@all_documents
async def test_a_document_is_valid(anybody: httpx2.AsyncClient, path: str) -> None:
    served = (await anybody.get(path)).json()

    for document in (served, DOCUMENTS[path]):
        validate(document, cls=OpenAPIV31SpecValidator)


@all_documents
def test_every_refusal_of_a_document_has_a_schema(path: str) -> None:
    without = [
        f"{name} {status}"
        for name, operation in _operations(DOCUMENTS[path])
        for status, answer in operation["responses"].items()
        if status >= "4" and not all(kind.get("schema") for kind in answer.get("content", {"": {}}).values())
    ]
    assert without == []


@all_documents
def test_every_time_in_a_document_says_that_it_is_one(path: str) -> None:
    times = {
        f"{name}.{field}": shape
        for name, schema in DOCUMENTS[path]["components"]["schemas"].items()
        for field, shape in schema.get("properties", {}).items()
        if field.endswith(("_at", "At", "_by")) and field not in {"created_by", "updated_by", "answered_by", "order_by"}
    }
    assert [name for name, shape in times.items() if '"format": "date-time"' not in json.dumps(shape)] == []


@all_documents
async def test_a_document_leads_back_to_its_own_api(anybody: httpx2.AsyncClient, path: str) -> None:
    """Its server is the address below which its paths are, and its token URL is the one that gives tokens."""
    address = f"http://hairtrigger.test{path}"
    served = (await anybody.get(path)).json()

    [server] = served["servers"]
    assert urljoin(address, server["url"]).rstrip("/") == address.removesuffix("/openapi.json")
    scheme = served["components"]["securitySchemes"].get("OAuth2PasswordBearer")
    if scheme:
        token = await anybody.post(urljoin(address, scheme["flows"]["password"]["tokenUrl"]), data={"username": "a@b"})
        assert token.json()["error"] == "invalid_request"


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield f"{method} {path}", operation
