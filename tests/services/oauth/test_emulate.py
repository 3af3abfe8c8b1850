"""A user signs in at the imitation of Google in npm emulate, which other people wrote, and polls ask its Gmail."""

import re
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hairtrigger import kit
from hairtrigger.domain.errors import AccessEnded
from hairtrigger.kit.oauth import Client
from hairtrigger.platform.vault import Vault
from hairtrigger.services.setup.authorizations import Wanted
from hairtrigger.store.database import Store
from tests.providers.live.door import Door
from tests.services.oauth.conftest import REDIRECT, an_authorizations
from tests.services.world import World, a_world
from tests.support.clock import ManualClock
from tests.support.node import NODE, installed
from tests.support.oauth_server import query

pytestmark = pytest.mark.anyio

CLIENT = Client("mine.apps.googleusercontent.com", "GOCSPX-secret")
GOOGLE, GMAIL = "https://oauth2.googleapis.test", "https://gmail.googleapis.test"


@pytest.fixture(scope="module")
def google() -> Iterator[str]:
    folder = installed("emulate@0.12.2")
    script = folder / "google.mjs"
    script.write_text(Path(__file__).with_name("emulate.mjs").read_text())
    command = [NODE, str(script), CLIENT.id, CLIENT.secret, REDIRECT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.terminate()


async def _labels(question: kit.Question[Any]) -> kit.Page:
    found = await question.api.get("gmail/v1/users/me/labels")
    return kit.Page([kit.Draft(one["id"], b"{}") for one in found["labels"]], {})


PROVIDER = kit.Provider(
    id="gmail",
    name="Gmail",
    base_url=f"{GMAIL}/",
    auth=kit.OAuth2(
        client="google",
        authorize_url=f"{GOOGLE}/o/oauth2/v2/auth",
        token_url=f"{GOOGLE}/oauth2/token",
        authorize={"access_type": "offline", "prompt": "consent"},
        scopes=("https://www.googleapis.com/auth/gmail.readonly",),
    ),
    triggers=(
        kit.Polling(id="on_label", name="Label", description="", config=kit.Empty, poll=_labels, baseline=False),
    ),
)


async def signs_in(google: str, url: str) -> str:
    """Press the button of the first user on the sign-in page, and return where the browser goes then."""
    async with httpx2.AsyncClient(base_url=google) as browser:
        page = await browser.get(url.removeprefix(GOOGLE))
        assert page.status_code == 200, page.text
        fields = re.findall(r'name="([^"]+)" value="([^"]*)"', page.text)
        form = {name: unescape(value) for name, value in fields}
        answer = await browser.post("/o/oauth2/v2/auth/callback", data=form)
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


@pytest.fixture
async def world(store: Store, clock: ManualClock, vault: Vault, google: str) -> World:
    door = Door({GOOGLE: google, GMAIL: google})
    return await a_world(store, clock, vault, PROVIDER, http=door, oauth_clients={"google": CLIENT})


async def test_a_user_signs_in_and_the_access_is_renewed(world: World, vault: Vault, google: str) -> None:
    authorizations, caller = an_authorizations(world, vault), world.caller
    started = await authorizations.start(caller, Wanted("gmail"))
    ended = await authorizations.finish(query(await signs_in(google, started.url)))
    assert ended.ok, ended.sentence
    assert ended.authorization
    assert ended.authorization.connection_id
    connection = await world.connections.get(caller, ended.authorization.connection_id)
    before = world.secrets.of_connection(connection)
    assert before["access_token"].startswith("google_")
    assert connection.expires_at == world.clock.now() + timedelta(hours=1)

    id_ = await world.create("gmail", "on_label", connection_id=connection.id)
    await world.triggers.enable(caller, id_)
    await world.poll_due()
    assert "INBOX" in await world.keys(id_)
    world.clock.advance(timedelta(minutes=58))
    await world.poll_due()
    after = world.secrets.of_connection(await world.connections.get(caller, connection.id))
    assert after["access_token"] != before["access_token"]
    assert after["refresh_token"] == before["refresh_token"]  # Google's do not rotate


async def test_its_refusals_are_told(world: World, vault: Vault, google: str) -> None:
    authorizations, caller = an_authorizations(world, vault), world.caller
    started = await authorizations.start(caller, Wanted("gmail"))
    answer = query(await signs_in(google, started.url))
    ended = await authorizations.finish({**answer, "code": "another"})
    assert ended.sentence == "The provider answered 'invalid_grant': The code is incorrect or expired."

    held = {"access_token": "google_old", "refresh_token": "google_refresh_unknown"}
    connection = await world.connections.create(caller, "gmail", "Imported", held)
    with pytest.raises(AccessEnded, match="'invalid_grant': The refresh token is invalid"):
        await world.calls.tokens.renewed(connection.org_id, connection.id, "google_old")
