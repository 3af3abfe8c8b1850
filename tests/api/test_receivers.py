"""Workflows in the web frameworks of other projects read what they receive, with the parsers of these frameworks."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.api.conftest import Tenant
from tests.support import node, python_packages
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

PROGRAMS = Path(__file__).parent / "receivers"
NODE_PACKAGES = ("express@5.1.0", "fastify@5.6.1", "standardwebhooks@1.0.0")
PYTHON_PACKAGES = ("flask==3.1.2", "standardwebhooks==1.0.0")
EVENT = b'{"id": "cus_1", "name": "Zo\xc3\xab", "balance": 1.5}'
FORMATS: dict[str, dict[str, Any]] = {
    "json": {},
    "structured": {},
    "binary": {},
    "plain": {},
    "template": {"template": {"text": "New: {{data.name}}", "inputs": "{{data}}"}},
}
SENT: dict[str, Any] = {
    "binary": json.loads(EVENT),
    "plain": json.loads(EVENT),
    "template": {"text": "New: Zoë", "inputs": json.loads(EVENT)},
}


def command(program: str) -> Sequence[str | Path]:
    if program == "flask":
        return [python_packages.installed(*PYTHON_PACKAGES), PROGRAMS / "flask_app"]
    folder = node.installed(*NODE_PACKAGES)
    script = folder / f"{program}.mjs"  # beside the packages, so that it finds them
    fresh = folder / f"{program}-{os.getpid()}.mjs"
    fresh.write_text((PROGRAMS / f"{program}.mjs").read_text())
    fresh.rename(script)
    return [node.NODE, script]


@contextmanager
def running(program: str, secret: str, types: str = "") -> Iterator[str]:
    """Run the program, and yield the address of its workflow."""
    environment = {**os.environ, "SECRET": secret, "TYPES": types}
    with subprocess.Popen(command(program), stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/run"
        finally:
            process.kill()


async def answered(tenant: Tenant, anybody: httpx2.AsyncClient, program: str, format_: str, types: str = "") -> Any:
    """Send an event to the program, and return its first attempt."""
    project = await tenant.project("http://127.0.0.1:1/run")
    with running(program, project["signing_secret"], types) as url:
        target = {"kind": "workflow", "url": url, "format": format_, **FORMATS[format_]}
        await tenant.ask("PATCH", f"/v1/projects/{project['id']}", {"target": target})
        id_, secret = await tenant.webhook(project["id"])
        headers = {"x-webhook-secret": secret, "content-type": "application/json"}
        accepted = await anybody.post(f"/v1/webhooks/{id_}", content=EVENT, headers=headers)
        [event_id] = accepted.json()["events"]

        async def attempts() -> Any:
            return (await tenant.ask("GET", f"/v1/deliveries/{event_id}"))["history"]

        return (await until(attempts))[0]


@pytest.mark.parametrize("format_", ["json", "binary", "plain", "template"])
@pytest.mark.parametrize("program", ["express", "fastify", "flask"])
async def test_a_web_framework_reads_and_verifies_every_request(
    program: str, format_: str, tenant: Tenant, anybody: httpx2.AsyncClient
) -> None:
    attempt = await answered(tenant, anybody, program, format_)

    assert attempt["response_status"] == 200, attempt
    seen = json.loads(attempt["response"])
    body = seen["body"]["data"] if format_ == "json" else seen["body"]
    assert body == SENT.get(format_, json.loads(EVENT))
    assert seen["type"] == ("webhook.on_request" if format_ == "binary" else None)
    assert seen["test"] is None


@pytest.mark.parametrize(
    ("program", "status", "body"), [("express", 200, None), ("fastify", 415, None), ("flask", 200, "read")]
)
async def test_the_structured_format_is_read_by_those_that_expect_it(
    program: str, status: int, body: str | None, tenant: Tenant, anybody: httpx2.AsyncClient
) -> None:
    attempt = await answered(tenant, anybody, program, "structured")

    assert attempt["response_status"] == status, "this is why new projects have another format"
    if status == 200:
        assert (json.loads(attempt["response"])["body"] is not None) == (body is not None)
    if program != "flask":
        told = await answered(tenant, anybody, program, "structured", types="application/cloudevents+json")
        assert json.loads(told["response"])["body"]["data"] == json.loads(EVENT)
