"""Polls of Notion, HubSpot, Jira, Confluence and Fireflies against the server `backlot` (PyPI), which was measured
against the real APIs.

Backlot knows neither `rest/api/3/myself` of Jira nor `user/current` of Confluence: the tests answer these two.
`./dev poe providers-live` runs this file. It installs backlot into a folder of its own, which takes about a minute.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import venv
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hairtrigger.domain.errors import CredentialsRefused
from tests.providers.live.door import Door, polled

pytestmark = pytest.mark.anyio

BACKLOT = "backlot==0.1.0"
ADMIN = "admin-service-token"
LONG_AGO = datetime(2015, 1, 1, tzinfo=UTC)
ATLASSIAN = {"site": "acme", "email": "ava.chen@acme.com"}
OURS = {
    "https://acme.atlassian.net/rest/api/3/myself": {"timeZone": "UTC"},
    "https://acme.atlassian.net/wiki/rest/api/user/current": {"timeZone": "UTC"},
}
# The bundled records have no `createdate`, which all records of HubSpot have.
CREATED = [datetime(2026, 4, 1, 12, 0, number // 2, tzinfo=UTC) for number in range(7)]


def program() -> Path:
    """Return the program backlot, installed once for each user."""
    place = Path(tempfile.gettempdir(), f"hairtrigger-tests-{os.getuid()}", BACKLOT.replace("==", "-"))
    if not (place / "done").exists():
        venv.create(place, with_pip=True, clear=True)
        subprocess.run([place / "bin" / "pip", "install", "-q", BACKLOT], check=True)
        (place / "done").touch()
    return place / "bin" / "backlot"


def corpus(folder: Path) -> Path:
    def record(number: int, at: datetime) -> dict[str, Any]:
        time = at.isoformat().replace("+00:00", ".000Z")
        properties = {"firstname": f"Ada {number}", "createdate": time, "lastmodifieddate": time}
        who = {"author_email": "ava.chen@acme.com", "author_name": "Ava Chen", "author_groups": ["sales"]}
        what = {
            "source_type": "hubspot",
            "doc_id": f"ours-{number}",
            "record_id": str(9_000_000_000 + number),
            "object_type": "contacts",
            "group": "sales",
        }
        text = {"title": f"Ada {number}", "content": "A contact.", "created": time, "visibility": "group"}
        return {**what, **text, "properties": properties, **who}

    file = folder / "ours.jsonl"
    file.write_text("".join(json.dumps(record(number, at)) + "\n" for number, at in enumerate(CREATED)))
    return file


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("backlot")
    environment = {**os.environ, "BACKLOT_DATA_DIR": str(folder / "data"), "BACKLOT_DISABLE_TELEMETRY": "1"}
    backlot = program()
    subprocess.run([backlot, "import", "--bundled"], check=True, env=environment, capture_output=True)
    subprocess.run([backlot, "import", "--append", corpus(folder)], check=True, env=environment, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve = [str(backlot), "serve", "--disable-telemetry", "--port", str(port), "--log-level", "error"]
    with subprocess.Popen(serve, env=environment) as process:
        try:
            while process.poll() is None:
                try:
                    httpx2.get(f"http://127.0.0.1:{port}/openapi.json", timeout=60)
                    break
                except httpx2.TransportError:
                    continue
            assert process.poll() is None, "backlot has ended"
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture
def door(server: str) -> Door:
    hosts = {
        "https://api.notion.com": "notion",
        "https://api.hubapi.com": "hubspot",
        "https://acme.atlassian.net": "atlassian",
        "https://api.fireflies.ai": "fireflies",
    }
    return Door({f"{host}/": f"{server}/{path}/" for host, path in hosts.items()}, OURS)


async def asked(server: str, method: str, path: str, **more: Any) -> Any:
    headers = {"authorization": f"Bearer {ADMIN}", "notion-version": "2025-09-03", **more.pop("headers", {})}
    async with httpx2.AsyncClient(timeout=60) as client:
        answer = await client.request(method, f"{server}/{path}", headers=headers, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def basic(server: str) -> dict[str, str]:
    """Return the credentials of a user of the bundled company, as backlot makes them."""

    return {"authorization": "Basic " + b64encode(f"{ATLASSIAN['email']}:{ADMIN}".encode()).decode()}


async def brings(
    door: Door, provider: str, trigger: str, secrets: dict[str, str], ids: set[str], config: Any = None
) -> None:
    """Require that polls bring exactly these things, that a second poll brings none, and that dates are kept to."""
    keys, cursor, _ = await polled(door, provider, trigger, secrets, config, since=LONG_AGO)
    assert ids
    assert {key.partition(":")[0] for key in keys} == ids
    assert len(keys) == len(set(keys)) == len(ids)
    again, _, _ = await polled(door, provider, trigger, secrets, config, since=LONG_AGO, cursor=cursor)
    assert again == []
    newest = datetime.fromisoformat(cursor["newest"])
    last, _, _ = await polled(door, provider, trigger, secrets, config, since=newest + timedelta(days=30))
    assert last == []


@pytest.mark.parametrize("trigger", ["on_page_created", "on_page_updated"])
async def test_notion(server: str, door: Door, trigger: str) -> None:
    wanted = {"filter": {"property": "object", "value": "data_source"}}
    (source,) = (await asked(server, "POST", "notion/v1/search", json=wanted))["results"]
    rows = (await asked(server, "POST", f"notion/v1/data_sources/{source['id']}/query", json={}))["results"]

    config = {"data_source_id": source["id"]}
    await brings(door, "notion", trigger, {"token": ADMIN}, {one["id"] for one in rows}, config)


@pytest.mark.parametrize("trigger", ["on_contact_created", "on_contact_updated"])
async def test_hubspot(server: str, door: Door, trigger: str) -> None:
    listed = await asked(server, "GET", "hubspot/crm/v3/objects/contacts?limit=100&properties=firstname,createdate")
    ours = {one["id"] for one in listed["results"] if "createdate" in one["properties"]}

    assert len(ours) == len(CREATED)
    await brings(door, "hubspot", trigger, {"token": ADMIN}, ours)


@pytest.mark.parametrize("trigger", ["on_issue_created", "on_issue_updated"])
async def test_jira(server: str, door: Door, trigger: str) -> None:
    wanted = {"jql": "created >= 2015-01-01", "fields": ["summary"], "maxResults": 100}
    issues = await asked(server, "POST", "atlassian/rest/api/3/search/jql", json=wanted, headers=basic(server))

    ids = {one["id"] for one in issues["issues"]}
    await brings(door, "jira", trigger, {**ATLASSIAN, "api_token": ADMIN}, ids)


@pytest.mark.parametrize(
    ("trigger", "kind"),
    [("on_page_created", "page"), ("on_page_updated", "page"), ("on_blog_post_created", "blogpost")],
)
async def test_confluence(server: str, door: Door, trigger: str, kind: str) -> None:
    path = f"atlassian/wiki/rest/api/search?cql=type={kind}&limit=100"
    found = await asked(server, "GET", path, headers=basic(server))

    ids = {one["content"]["id"] for one in found["results"]}
    await brings(door, "confluence", trigger, {**ATLASSIAN, "api_token": ADMIN}, ids)


async def test_fireflies(server: str, door: Door) -> None:
    query = {"query": "{ transcripts(limit: 50) { id } }"}
    found = await asked(server, "POST", "fireflies/graphql", json=query)

    ids = {one["id"] for one in found["data"]["transcripts"]}
    await brings(door, "fireflies", "on_meeting_transcribed", {"api_key": ADMIN}, ids)


async def test_credentials_that_backlot_refuses_are_refused(door: Door) -> None:

    with pytest.raises(CredentialsRefused):
        await polled(door, "hubspot", "on_contact_created", {"token": "wrong"})
    with pytest.raises(CredentialsRefused):
        await polled(door, "notion", "on_page_created", {"token": "wrong"}, {"data_source_id": "0" * 32})


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-rA", *sys.argv[1:]]))
