"""A user of an organisation's product connects an account of the user's own, once, and learns nothing but a name."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from html import unescape
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from hairtrigger.api.pages import oauth_pages
from hairtrigger.domain.errors import Invalid, NotFound, NotReady
from hairtrigger.kit.oauth import Client, filled
from hairtrigger.platform.tickets import Tickets
from hairtrigger.platform.vault import Vault
from hairtrigger.services.catalogue import catalogue_of
from hairtrigger.services.setup.authorizations import Wanted
from hairtrigger.services.setup.connect_links import ConnectLinks
from hairtrigger.services.setup.external_users import ExternalUsers
from hairtrigger.store.setup.connect_links import ConnectLink
from hairtrigger.store.setup.connections import Connection
from hairtrigger.store.tables import org
from tests.services.oauth.conftest import OAUTH, PROVIDER, Shop
from tests.services.world import no_integrations
from tests.support.oauth_server import Token, query

pytestmark = pytest.mark.anyio


@dataclass
class Page:
    shop: Shop
    links: ConnectLinks
    browser: httpx2.AsyncClient

    async def link(self, **wanted: Any) -> tuple[ConnectLink, str]:
        asked = Wanted(**{"provider_id": "shop", "external_user_id": "ada", **wanted})
        return await self.links.create(self.shop.world.caller, asked, timedelta(hours=1))

    async def enters(self, url: str, fields: Mapping[str, str] | None = None) -> httpx2.Response:
        return await self.browser.post(url, data=dict(fields or {}))

    async def made(self) -> list[Connection]:
        return await self.shop.world.connections.list(self.shop.world.caller)

    def knows_key(self, key: str) -> None:
        self.shop.server.tokens[key] = Token(key, self.shop.world.clock.now() + timedelta(days=365), "")
        self.shop.server.grants[key] = "key"


@pytest.fixture
async def page(shop: Shop, vault: Vault) -> AsyncIterator[Page]:
    links = ConnectLinks(
        store=shop.world.store,
        clock=shop.world.clock,
        secrets=shop.world.secrets,
        connections=shop.world.connections,
        authorizations=shop.authorizations,
        tickets=Tickets(vault.derive("tickets"), "connect link"),
        public_url="https://hooks.test",
    )
    app = Starlette(routes=oauth_pages(shop.authorizations, links))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="https://hooks.test") as browser:
        yield Page(shop, links, browser)


def _leads_to(answer: httpx2.Response) -> str:
    found = re.search(r'class="go" rel="noreferrer" href="([^"]+)"', answer.text)
    assert found, answer.text
    return unescape(found[1])


async def test_a_user_grants_access_under_a_link_once(page: Page) -> None:
    link, url = await page.link()
    shown = await page.browser.get(url)
    assert shown.status_code == 200
    assert "asks you to connect your account at Shop." in shown.text
    assert "<script" not in shown.text
    assert "form-action 'self'" in shown.headers["content-security-policy"]
    address = _leads_to(await page.enters(url))
    answer = await page.browser.get(await page.shop.server.grants_at(address))
    assert (answer.status_code, "Connected" in answer.text) == (200, True)

    [made] = await page.made()
    assert (made.external_user_id, made.name) == ("ada", "Shop")
    found = await page.links.get(page.shop.world.caller, link.id)
    assert (found.used_at, found.connection_id) == (page.shop.world.clock.now(), made.id)
    for again in (await page.browser.get(url), await page.enters(url)):
        assert (again.status_code, "does not work" in again.text) == (404, True)
    assert len(await page.made()) == 1


async def test_a_user_enters_a_key_and_may_try_again(page: Page) -> None:
    page.knows_key("right-key")
    _, url = await page.link(way="key")
    assert '<input name="api_key" type="password" required' in (await page.browser.get(url)).text
    wrong = await page.enters(url, {"api_key": "wrong-key"})
    assert (wrong.status_code, "Shop does not accept this" in wrong.text) == (422, True)
    assert "wrong-key" not in wrong.text
    for nothing in ({}, {"api_key": ""}, {"api_key": "a\x00b"}, {"other": "x"}):
        assert (await page.enters(url, nothing)).status_code == 422
    assert await page.made() == []
    right = await page.enters(url, {"api_key": "right-key", "another": "x"})
    assert (right.status_code, "Shop accepts it." in right.text) == (200, True)
    [made] = await page.made()
    assert page.shop.world.secrets.of_connection(made) == {"api_key": "right-key"}


async def test_of_two_users_of_one_link_at_once_one_connects(page: Page) -> None:
    page.knows_key("k1")
    _, url = await page.link(way="key")
    answers = await asyncio.gather(*(page.enters(url, {"api_key": "k1"}) for _ in range(4)))
    assert sorted(one.status_code for one in answers) == [200, 404, 404, 404]
    assert len(await page.made()) == 1


async def test_a_link_connects_a_connection_again(page: Page) -> None:
    before = await page.shop.granted(name="Ada's")
    _, url = await page.link(connection_id=before.id, name="Ada's")
    address = _leads_to(await page.enters(url))
    assert (await page.browser.get(await page.shop.server.grants_at(address))).status_code == 200
    [after] = await page.made()
    assert (after.id, after.name, after.version) == (before.id, "Ada's", 1)


@pytest.mark.parametrize("change", ["end", "start", "other"])
async def test_a_link_that_is_not_ours_shows_nothing(page: Page, change: str) -> None:
    _, url = await page.link()
    head, _, ticket = url.rpartition("/")
    other = "B" if ticket.startswith("A") else "A"
    changed = {"end": ticket[:-1] + other, "start": other + ticket[1:], "other": "x"}[change]
    answer = await page.browser.get(f"{head}/{changed}")
    assert answer.status_code == 404
    assert "Shop" not in answer.text


async def test_a_link_ends_by_itself_by_deletion_and_after_too_many_attempts(page: Page) -> None:
    _, old = await page.link()
    deleted, gone = await page.link()
    await page.links.delete(page.shop.world.caller, deleted.id)
    assert (await page.browser.get(gone)).status_code == 404
    _, tried = await page.link(way="key")
    statuses = [(await page.enters(tried, {"api_key": "wrong"})).status_code for _ in range(21)]
    assert statuses == [422] * 20 + [429]
    page.shop.passes(hours=1)
    assert (await page.browser.get(old)).status_code == 404


async def test_a_link_that_is_deleted_while_its_user_is_at_the_provider_makes_no_connection(page: Page) -> None:
    link, url = await page.link()
    answer = await page.shop.server.grants_at(_leads_to(await page.enters(url)))
    await page.links.delete(page.shop.world.caller, link.id)
    shown = await page.browser.get(answer)
    assert (shown.status_code, "used or deleted meanwhile" in shown.text) == (400, True)
    assert await page.made() == []


async def test_of_an_organisation_its_name_is_shown_and_its_markup_is_not(page: Page) -> None:
    async with page.shop.world.store.transaction() as tx:
        await tx.connection.execute(org.update().values(name="<b>Acme</b> & Co"))
    _, url = await page.link(name="Internal name of the connection")
    shown = (await page.browser.get(url)).text
    assert "&lt;b&gt;Acme&lt;/b&gt; &amp; Co asks you" in shown
    for hidden in ("ada", "Internal name", str(page.shop.world.caller.org_id), str(page.shop.world.caller.id)):
        assert hidden not in shown


async def test_a_user_does_not_choose_to_whose_server_the_client_s_secret_goes(page: Page) -> None:
    open_host = replace(OAUTH, token_url="https://{site}/token", authorize_url="https://{site}/authorize")
    assert not open_host.is_fixed
    provider = replace(PROVIDER, auth=open_host, ways={})
    catalogue = catalogue_of([provider], no_integrations)
    shop = page.shop
    clients = replace(shop.world.calls.tokens.clients, catalogue=catalogue)
    connections = replace(shop.world.connections, catalogue=catalogue)
    authorizations = replace(shop.authorizations, clients=clients, connections=connections)
    links = replace(page.links, connections=connections, authorizations=authorizations)
    caller = shop.world.caller

    with pytest.raises(NotReady):  # the operator's client is not for a server that others choose
        await authorizations.start(caller, Wanted("shop", fields={"site": "evil.test"}))
    await clients.put(caller, "shop", Client("app", "app-secret"))
    assert (await authorizations.start(caller, Wanted("shop", fields={"site": "mine.test"}))).url.startswith(
        "https://mine.test/authorize?"
    )
    with pytest.raises(Invalid, match="decides to whose server"):
        await links.create(caller, Wanted("shop"), timedelta(hours=1))
    await links.create(caller, Wanted("shop", fields={"site": "mine.test"}), timedelta(hours=1))


@pytest.mark.parametrize(
    "site", ["evil.test/", "evil.test#", "evil.test?", "evil.test\\", "a@evil.test", "//evil.test"]
)
async def test_a_field_does_not_lead_out_of_its_place_in_an_address(site: str) -> None:
    address = httpx2.URL(filled("https://{site}.shop.test/token", {"site": site}).replace("%", "x"))
    assert address.host.endswith(".shop.test")


# -- users of the product


async def test_a_user_is_deleted_with_all_that_is_the_user_s(page: Page) -> None:
    world, caller = page.shop.world, page.shop.world.caller
    users = ExternalUsers(store=world.store, clock=world.clock, triggers=world.triggers)
    ada, bob = await page.shop.granted(external_user_id="ada"), await page.shop.granted(external_user_id="bob")
    mine = await page.shop.polling(bob)
    theirs = (
        await world.triggers.create(caller, world.project_id, "shop", "on_item", {}, ada.id, external_user_id="ada")
    ).id
    await world.triggers.enable(caller, theirs)
    shared = await page.shop.polling(ada)  # of the organisation, with a connection of the user
    link, _ = await page.link()
    pending = await page.shop.server.grants_at(await page.shop.started(external_user_id="ada"))

    gone = await users.delete(caller, "ada")

    assert (gone.triggers, gone.connections) == (1, 1)
    assert [one.id for one in await page.made()] == [bob.id]
    assert await world.connections.list(caller, external_user_id="ada") == []
    assert {one.id for one, _ in await world.triggers.of_organization(caller)} == {mine, shared}
    assert (await world.trigger(shared)).disconnected == "Its connection was deleted."
    with pytest.raises(NotFound):
        await page.links.get(caller, link.id)
    with pytest.raises(NotFound):
        await page.shop.authorizations.finish(query(pending))
    assert (await users.delete(caller, "ada")).triggers == 0
