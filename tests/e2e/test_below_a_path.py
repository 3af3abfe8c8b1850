"""The whole service below a path of another site, behind a proxy that passes the path on or takes it away."""

import base64
import hashlib
import hmac
import json
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

import httpx2
import pytest

from tests.e2e.process import Service
from tests.e2e.test_newcomer import typed
from tests.support.proxy import proxying
from tests.support.reverse_proxy import ReverseProxy
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.anyio


class Links(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("href", "src") and value]


@pytest.fixture
async def folder() -> AsyncIterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hairtrigger-e2e-") as made:
        folder = Path(made)
        folder.chmod(0o711)
        yield folder


@pytest.mark.parametrize(("strips", "tells"), [(False, False), (True, False), (True, True)])
async def test_everything_leads_back_through_the_proxy(folder: Path, strips: bool, tells: bool) -> None:
    async with proxying(ReverseProxy("/hooks/here", strips, tells)) as proxy:
        service = Service(folder, {"HAIRTRIGGER_PUBLIC_URL": f"{proxy.url}/"})
        await service.start()
        proxy.backend = service.port
        assert f"running at {proxy.url} " in service.output
        assert f"Reference   {proxy.url}/docs" in service.output
        headers = {"authorization": f"Bearer {service.api_key}"}
        async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE, headers=headers) as client:
            await every_link_works(client, proxy)
            for document in ("openapi.json", "v1/openapi.json", "integrations/v1/openapi.json"):
                url = f"{proxy.url}/{document}"
                served = (await client.get(url)).json()
                [server] = served["servers"]
                assert urljoin(url, server["url"]).rstrip("/") == url.removesuffix("/openapi.json")
            printed = re.search(r"http\S+", service.curl.rpartition("\\\n")[2])
            assert printed
            assert printed[0].startswith(f"{proxy.url}/v1/webhooks/")
            await an_address_that_is_signed_is_known(client, proxy)
        await the_command_line_finds_it(service, proxy, folder)
        await service.stop()


async def every_link_works(client: httpx2.AsyncClient, proxy: ReverseProxy) -> None:
    seen: set[str] = set()
    left = [f"{proxy.url}/"]
    while left:
        url = left.pop()
        seen.add(url)
        answer = await client.get(url, headers={"accept": "text/html"})
        assert answer.status_code == 200, url
        if answer.headers["content-type"].startswith("text/html"):
            left += {urljoin(url, one).partition("#")[0] for one in Links(answer.text).found} - seen - set(left)
    assert f"{proxy.url}/docs/v1" in seen
    assert all(url.startswith(proxy.url) for url in seen)


async def an_address_that_is_signed_is_known(client: httpx2.AsyncClient, proxy: ReverseProxy) -> None:
    """Send a request whose signature is of the address to which its sender sends it."""
    made = await client.post(f"{proxy.url}/v1/projects", json={"name": "P", "target": {"kind": "log"}})
    config = {"scheme": "hmac", "header": "X-Signature", "signed": "{url}{body}", "encoding": "base64"}
    body = {"provider_id": "webhook", "trigger_id": "on_request", "trigger_config_params": config}
    trigger = (await client.post(f"{proxy.url}/projects/{made.json()['id']}/triggers", json=body)).json()
    id_ = trigger["project_trigger_id"]
    secret = (await client.post(f"{proxy.url}/v1/project-triggers/{id_}/secret", json={})).json()["secret"]
    enabled = (await client.post(f"{proxy.url}/triggers/{id_}/enable")).json()
    url = enabled["webhook_data"]["url"]
    assert url == f"{proxy.url}/v1/webhooks/{id_}"
    data = json.dumps({"a": 1}).encode()
    signature = base64.b64encode(hmac.digest(secret.encode(), url.encode() + data, hashlib.sha256)).decode()
    sent = await client.post(url, content=data, headers={"x-signature": signature, "content-type": "application/json"})
    assert (sent.status_code, sent.json().get("status")) == (200, "accepted"), sent.text


async def the_command_line_finds_it(service: Service, proxy: ReverseProxy, folder: Path) -> None:
    command = f"{sys.executable} -m hairtrigger projects list --json"
    here = await typed(command, {"HAIRTRIGGER_DATA_DIR": str(folder / "data")})
    there = await typed(
        command,
        {"HAIRTRIGGER_DATA_DIR": "/nowhere", "HAIRTRIGGER_URL": proxy.url, "HAIRTRIGGER_API_KEY": service.api_key},
    )
    assert json.loads(here) == json.loads(there)
    known = json.loads(next((folder / "data").glob("command-line.json")).read_text())
    assert known["url"] == service.url
