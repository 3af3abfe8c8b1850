"""A browser that opens the address of the service finds out what it is, and the reference of its APIs."""

from html.parser import HTMLParser
from ipaddress import ip_network
from urllib.parse import urljoin

import httpx2
import pytest

from hairtrigger.api.app import BelowPath
from hairtrigger.platform.peers import Proxies
from tests.api.conftest import Tenant

pytestmark = pytest.mark.anyio

BROWSER = {"accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}


class Links(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.scripts = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.found += [value for name, value in attrs if name in ("href", "src") and value]


def without_login(tenant: Tenant) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=tenant.client._transport, base_url=tenant.client.base_url)


async def test_all_links_from_the_first_page_lead_somewhere_without_a_login(tenant: Tenant) -> None:
    async with without_login(tenant) as browser:
        seen: set[str] = set()
        left = ["/"]
        while left:
            path = left.pop()
            seen.add(path)
            answer = await browser.get(path, headers=BROWSER)
            assert answer.status_code in (200, 503 if path == "/readyz" else 200), path
            if answer.headers["content-type"].startswith("text/html"):
                links = Links(answer.text)
                assert links.scripts == 0
                assert not [one for one in links.found if "//" in one]
                left += {urljoin(path, one) for one in links.found} - seen - set(left)
    assert {"/docs", "/docs/v1", "/docs/triggers", "/docs/integrations", "/v1/openapi.json"} <= seen


async def test_the_reference_shows_every_operation_of_each_document(tenant: Tenant) -> None:
    async with without_login(tenant) as browser:
        for page, document in (
            ("/docs/v1", "/v1/openapi.json"),
            ("/docs/triggers", "/openapi.json"),
            ("/docs/integrations", "/integrations/v1/openapi.json"),
        ):
            shown = (await browser.get(page)).text
            paths = (await browser.get(document)).json()["paths"]
            for path in paths:
                assert f"<code>{path}</code>" in shown


async def test_a_program_is_told_the_same_in_json(tenant: Tenant) -> None:
    async with without_login(tenant) as client:
        answer = await client.get("/", headers={"accept": "application/json"})
    assert answer.json()["name"] == "hairtrigger"
    assert answer.json()["reference"] == "docs"


@pytest.mark.parametrize("prefix", ["", "/hooks/here"])
async def test_below_a_path_everything_answers_whether_the_proxy_passes_the_path_on_or_not(
    tenant: Tenant, prefix: str
) -> None:
    project = await tenant.project("https://example.com")
    trigger, secret = await tenant.webhook(project["id"])
    app = BelowPath(tenant.app.asgi, "https://example.com/hooks/here/")
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="https://example.com") as client:
        assert (await client.get(f"{prefix}/docs/v1")).status_code == 200
        assert (await client.get(f"{prefix}/v1/projects")).status_code == 401
        assert (await client.get(f"{prefix}/integrations/v1/get")).status_code == 401
        sent = await client.post(f"{prefix}/v1/webhooks/{trigger}", json={}, headers={"x-webhook-secret": secret})
        assert sent.json()["status"] == "accepted"
        assert (await client.get("/hooks/hereandthere/docs")).status_code == 404


@pytest.mark.parametrize(
    ("trusted", "prefix", "server"),
    [
        (True, "/hooks", "/hooks/v1"),
        (True, "/a/b-c/", "/a/b-c/v1"),
        (False, "/hooks", "/v1"),
        *(
            (True, wrong, "/v1")
            for wrong in ("//evil.example", "https://evil.example", "/a b", "/<b>", "/" + "a" * 300, "")
        ),
    ],
)
async def test_the_path_that_a_trusted_proxy_has_taken_away_is_put_back(
    tenant: Tenant, trusted: bool, prefix: str, server: str
) -> None:
    proxies = Proxies([ip_network("127.0.0.0/8")] if trusted else [])
    app = BelowPath(tenant.app.asgi, "https://example.com", proxies)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="https://example.com") as client:
        served = (await client.get("/v1/openapi.json", headers={"x-forwarded-prefix": prefix})).json()
        assert served["servers"] == [{"url": server}]
        assert (await client.get("/docs", headers={"x-forwarded-prefix": prefix})).status_code == 200
