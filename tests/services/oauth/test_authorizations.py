"""A user grants access once, for the organisation that asked, and nothing else is taken for an answer."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from starlette.responses import JSONResponse

from hairtrigger.domain.caller import SCOPES, Caller
from hairtrigger.domain.errors import Invalid, NotFound, NotReady, RateLimited
from hairtrigger.kit.oauth import Client
from hairtrigger.platform.tickets import Tickets
from hairtrigger.platform.vault import Vault
from hairtrigger.services.setup import authorizations as module
from hairtrigger.services.setup.authorizations import Wanted
from hairtrigger.store.database import Store
from tests.services.oauth.conftest import REDIRECT, Shop, a_shop
from tests.store.build import an_organization
from tests.support.clock import ManualClock
from tests.support.oauth_server import query

pytestmark = pytest.mark.anyio


async def test_a_user_grants_access_in_a_browser_and_polls_begin(shop: Shop) -> None:
    url = await shop.started(name="Ada's shop", triggers=["on_item"], external_user_id="ada")
    asked = query(url)
    assert asked["redirect_uri"] == REDIRECT
    assert (asked["access_type"], asked["prompt"], asked["scope"]) == ("offline", "consent", "read items")
    ended = await shop.answered(url)

    assert (ended.ok, ended.sentence) == (True, "Shop accepts it.")
    assert ended.authorization
    connection = await shop.world.connections.get(shop.world.caller, ended.authorization.connection_id or uuid4())
    assert (connection.name, connection.external_user_id, connection.way) == ("Ada's shop", "ada", None)
    assert connection.scopes == ["items"]
    id_ = await shop.polling(connection)
    await shop.world.poll_due()
    assert await shop.world.keys(id_) == ["1"]
    assert (await shop.health(connection)).succeeded_at == shop.world.clock.now()


async def test_the_scopes_of_all_triggers_are_asked_for_if_none_is_named(shop: Shop) -> None:
    assert query(await shop.started())["scope"] == "read items others"
    assert query(await shop.started(triggers=["on_item"], scopes=["more"]))["scope"] == "read items more"
    with pytest.raises(Invalid, match="has no trigger 'on_nothing'"):
        await shop.started(triggers=["on_nothing"])


async def test_the_verifier_and_the_secret_are_in_no_address_and_in_no_repr(shop: Shop) -> None:
    started = await shop.authorizations.start(shop.world.caller, Wanted("shop"))
    ended = await shop.answered(started.url)
    [form] = shop.server.asked
    for one in (form["code_verifier"], form["client_secret"], *shop.server.tokens, *shop.server.refreshing):
        assert one not in started.url + repr(started) + repr(ended) + repr(shop.world.calls.tokens)
        assert one.encode() not in started.authorization.secrets


async def test_a_trigger_whose_scopes_were_not_asked_for_is_not_enabled(shop: Shop) -> None:
    connection = await shop.granted(triggers=["on_item"])
    id_ = await shop.world.create("shop", "on_other", connection_id=connection.id)
    with pytest.raises(NotReady, match="without the scopes that this trigger needs: others"):
        await shop.world.triggers.enable(shop.world.caller, id_)
    await shop.granted(connection_id=connection.id, triggers=["on_item", "on_other"])
    await shop.world.triggers.enable(shop.world.caller, id_)


# -- states


async def test_a_state_is_used_once(shop: Shop) -> None:
    answer = query(await shop.server.grants_at(await shop.started()))
    assert (await shop.authorizations.finish(answer)).ok
    with pytest.raises(NotFound):
        await shop.authorizations.finish(answer)
    assert len(shop.server.asked) == 1


async def test_of_two_answers_with_one_state_at_once_one_counts(shop: Shop) -> None:
    answer = query(await shop.server.grants_at(await shop.started()))
    found = await asyncio.gather(*(shop.authorizations.finish(answer) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(one, NotFound) for one in found) == 4
    assert len(shop.server.asked) == 1
    assert len(await shop.world.connections.list(shop.world.caller)) == 1


async def test_a_state_that_failed_is_used_too(shop: Shop) -> None:
    url = await shop.started()
    with pytest.raises(NotFound):
        await _failing_then_again(shop, url)


async def _failing_then_again(shop: Shop, url: str) -> None:
    shop.server.denies = ("access_denied", "No.")
    assert not (await shop.answered(url)).ok
    shop.server.denies = None
    await shop.answered(url)


@pytest.mark.parametrize("change", ["first", "last", "longer", "shorter", "empty", "missing", "unicode", "padded"])
async def test_a_state_that_was_tampered_with_finds_nothing(shop: Shop, change: str) -> None:
    answer = query(await shop.server.grants_at(await shop.started()))
    state = answer["state"]
    other = "A" if state[0] != "A" else "B"
    changed = {
        "first": other + state[1:],
        "last": state[:-1] + ("A" if state[-1] != "A" else "B"),
        "longer": state + "A",
        "shorter": state[:-1],
        "empty": "",
        "unicode": "ä" * len(state),
        "padded": state + "=",
    }
    tampered = {k: v for k, v in answer.items() if k != "state"} | (
        {} if change == "missing" else {"state": changed[change]}
    )
    with pytest.raises(NotFound):
        await shop.authorizations.finish(tampered)
    assert shop.server.asked == []
    assert (await shop.authorizations.finish(answer)).ok  # the right one is still good


async def test_a_state_of_another_kind_or_another_installation_finds_nothing(shop: Shop) -> None:
    started = await shop.authorizations.start(shop.world.caller, Wanted("shop"))
    key = shop.authorizations.tickets.key
    for tickets in (Tickets(key, "connect link"), Tickets(b"x" * 32, "oauth state")):
        with pytest.raises(NotFound):
            await shop.authorizations.finish({"state": tickets.of(started.authorization.id), "code": "c"})


async def test_a_state_is_good_for_a_quarter_of_an_hour(shop: Shop) -> None:
    url = await shop.started()
    shop.passes(minutes=15, seconds=1)
    with pytest.raises(NotFound):
        await shop.answered(url)


async def test_what_comes_of_it_belongs_to_the_organisation_that_asked(shop: Shop) -> None:
    async with shop.world.store.transaction() as tx:
        stranger = Caller(await an_organization(tx, shop.world.clock.now()), uuid4(), frozenset(SCOPES))
    mine = await shop.granted()
    for wanted in (Wanted("shop", connection_id=mine.id), Wanted("shop", way="key", connection_id=mine.id)):
        with pytest.raises((NotFound, Invalid)):
            await shop.authorizations.start(stranger, wanted)
    started = await shop.authorizations.start(stranger, Wanted("shop"))
    with pytest.raises(NotFound):
        await shop.authorizations.get(shop.world.caller, started.authorization.id)
    assert (await shop.answered(started.url)).ok
    assert len(await shop.world.connections.list(shop.world.caller)) == 1
    assert len(await shop.world.connections.list(stranger)) == 1


# -- what the provider says


async def test_without_the_verifier_the_provider_refuses_and_that_is_told(shop: Shop) -> None:
    url = await shop.started()
    answer = query(await shop.server.grants_at(url))
    shop.server.codes[answer["code"]]["code_challenge"] = "of-another-browser"
    ended = await shop.authorizations.finish(answer)
    assert (ended.ok, ended.sentence) == (False, "The provider answered 'invalid_grant'")
    assert await shop.world.connections.list(shop.world.caller) == []


@pytest.mark.parametrize(
    "answer",
    [{}, {"code": ""}, {"code": "c" * 5000}, {"code": "c", "iss": "https://evil.test"}, {"error": "x" * 9000}],
)
async def test_an_answer_that_is_no_answer_makes_no_connection(shop: Shop, answer: dict[str, str]) -> None:
    state = query(await shop.started())["state"]
    ended = await shop.authorizations.finish({**answer, "state": state})
    assert not ended.ok
    assert len(ended.sentence) < 500
    assert ended.authorization
    found = await shop.authorizations.get(shop.world.caller, ended.authorization.id)
    assert (found.status, found.secrets) == ("failed", b"")
    assert shop.server.asked == []


@pytest.mark.parametrize(
    ("more", "ends_in"),
    [
        ({"expires_in": "3600"}, 3600),
        ({"expires_in": "soon"}, None),
        ({"expires_in": -1}, None),
        ({"expires_in": 0}, None),
        ({"expires_in": True}, None),
        ({"expires_in": 1e300}, None),
        ({"expires_in": None}, None),
        ({"expires_in": [3600]}, None),
        ({"scope": 7}, 3600),
        ({"scope": ["read", {}]}, 3600),
        ({"token_type": {}, "id_token": "…", "refresh_token": ["x"]}, 3600),
    ],
)
async def test_fields_without_sense_count_as_left_out(shop: Shop, more: dict[str, Any], ends_in: int | None) -> None:
    shop.server.more = more
    connection = await shop.granted()
    ends = connection.expires_at and (connection.expires_at - shop.world.clock.now()).total_seconds()
    assert ends == ends_in


@pytest.mark.parametrize("token", [None, "", 5, ["a"], "a b", "a\r\nx: y", "ä", "x" * 20_000])
async def test_an_access_token_that_can_not_be_sent_is_refused(shop: Shop, token: Any) -> None:
    shop.server.more = {"access_token": token}
    ended = await shop.answered(await shop.started())
    assert not ended.ok
    assert "usable access token" in ended.sentence


async def test_a_token_that_the_api_refuses_is_told_at_once(shop: Shop) -> None:
    shop.server.more = {"access_token": "unknown"}
    ended = await shop.answered(await shop.started())
    assert (ended.ok, ended.sentence) == (False, "Shop does not accept this: The provider refused access with 401.")


# -- client ids


async def test_an_organisation_s_own_client_goes_before_the_operator_s(shop: Shop) -> None:
    shop.server.clients["own"] = "own-secret"
    clients, caller = shop.world.calls.tokens.clients, shop.world.caller
    await clients.put(caller, "shop", Client("own", "own-secret"))
    connection = await shop.granted()
    assert shop.server.asked[-1]["client_id"] == "own"

    await clients.delete(caller, "shop")  # a token is renewed with the client that got it, or not at all
    await shop.polling(connection)
    shop.passes(hours=2)
    await shop.world.poll_due()
    assert shop.server.refreshes == 0
    found = await shop.health(connection)
    assert (found.status, "is not set up: own" in found.detail) == ("refused", True)

    await clients.put(caller, "shop", Client("own", "own-secret"))
    shop.passes(hours=2)
    await shop.world.poll_due()
    assert (await shop.health(connection)).status == "ok"


async def test_without_a_client_a_user_is_told_what_to_register(store: Store, clock: ManualClock, vault: Vault) -> None:
    shop = await a_shop(store, clock, vault, oauth_clients={})
    with pytest.raises(NotReady, match=f"redirect address {REDIRECT} and store it: PUT /v1/oauth-clients/shop"):
        await shop.started()
    with pytest.raises(NotFound, match="There are: shop"):
        await shop.world.calls.tokens.clients.put(shop.world.caller, "shpo", Client("a", "b"))


async def test_pending_authorizations_are_bounded(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_PENDING", 2)
    await shop.started()
    await shop.started()
    with pytest.raises(RateLimited):
        await shop.started()
    shop.passes(minutes=16)
    await shop.started()


# -- reconnecting, and other devices


async def test_a_connection_that_is_connected_again_keeps_its_id_and_its_triggers(shop: Shop) -> None:
    connection = await shop.granted(name="Mine")
    id_ = await shop.polling(connection)
    again = await shop.granted(connection_id=connection.id)
    assert (again.id, again.name, again.version) == (connection.id, "Mine", 1)
    assert await shop.held(again) != shop.world.secrets.of_connection(connection)
    await shop.world.poll_due()
    assert await shop.world.keys(id_) == ["1"]


async def test_a_user_enters_a_code_on_another_device(shop: Shop) -> None:
    caller = shop.world.caller
    started = await shop.authorizations.start_device(caller, Wanted("shop", name="TV"))
    assert (started.user_code, started.url) == ("WDJB-MJHT", "https://accounts.test/enter")
    id_ = started.authorization.id
    assert (await shop.authorizations.get(caller, id_)).status == "pending"
    assert shop.server.asked == []  # not before the interval is over
    for _ in range(3):
        shop.passes(seconds=5)
        assert (await shop.authorizations.get(caller, id_)).status == "pending"
    assert len(shop.server.asked) == 3
    [code] = shop.server.devices
    shop.server.devices[code] = True
    shop.passes(seconds=5)
    found = await shop.authorizations.get(caller, id_)
    assert (found.status, found.secrets) == ("done", b"")
    assert found.connection_id
    assert (await shop.world.connections.get(caller, found.connection_id)).name == "TV"


async def test_a_device_code_that_is_asked_about_too_often_is_asked_about_less(shop: Shop) -> None:
    caller = shop.world.caller
    started = await shop.authorizations.start_device(caller, Wanted("shop"))
    shop.server.faults = [JSONResponse({"error": "slow_down"}, 400), JSONResponse({}, 503)]
    shop.passes(seconds=5)
    await shop.authorizations.get(caller, started.authorization.id)
    shop.passes(seconds=5)
    await shop.authorizations.get(caller, started.authorization.id)
    assert len(shop.server.asked) == 1
    shop.passes(seconds=5)
    assert (await shop.authorizations.get(caller, started.authorization.id)).status == "pending"
    shop.passes(hours=1)
    found = await shop.authorizations.get(caller, started.authorization.id)
    assert (found.status, found.detail) == ("failed", "It was not granted in time.")


# -- without a user


async def test_an_app_of_its_own_is_connected_with_its_client_id(shop: Shop) -> None:
    world, caller = shop.world, shop.world.caller
    right = {"client_id": "app", "client_secret": "app-secret"}
    connection = await world.connections.create(caller, "shop", "App", right, way="app")
    id_ = await shop.polling(connection)
    await world.poll_due()
    shop.passes(hours=2)
    await world.poll_due()
    assert await world.keys(id_) == ["1"]
    assert [one["grant_type"] for one in shop.server.asked] == ["client_credentials", "client_credentials"]
    with pytest.raises(Invalid, match="invalid_client"):
        await world.connections.create(caller, "shop", "App", {**right, "client_secret": "wrong"}, way="app")
    with pytest.raises(Invalid, match="needs 'client_secret'"):
        await world.connections.create(caller, "shop", "App", {"client_id": "app"}, way="app")
    with pytest.raises(Invalid, match="Other ways than the first: app, key, robot"):
        await world.connections.create(caller, "shop", "App", right, way="application")
