"""An access token is renewed once, by one process, before it ends, and no refresh token is lost in silence."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from hairtrigger.domain.errors import AccessEnded, ProviderFailed, Unavailable
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.services.access_tokens import AccessTokens
from hairtrigger.store.setup.connections import Connection
from tests.services.oauth.conftest import Shop
from tests.services.world import Killed, Meddled, dying
from tests.support.oauth_server import Token

pytestmark = pytest.mark.anyio


async def renewed(
    shop: Shop, connection: Connection, tokens: AccessTokens | None = None, seen: str | None = None
) -> dict[str, str]:
    tokens = tokens or shop.world.calls.tokens
    seen = seen or (await shop.held(connection))["access_token"]
    return await tokens.renewed(connection.org_id, connection.id, seen)


async def test_a_token_is_renewed_before_it_ends_and_its_refresh_token_goes_with_it(shop: Shop) -> None:
    connection = await shop.granted()
    before = await shop.held(connection)
    await shop.polling(connection)
    await shop.world.poll_due()
    assert shop.server.refreshes == 0
    shop.passes(minutes=56)  # of an hour
    await shop.world.poll_due()
    after = await shop.held(connection)
    assert shop.server.refreshes == 1
    assert after["access_token"] != before["access_token"]
    assert after["refresh_token"] != before["refresh_token"]
    shop.passes(minutes=56)
    await shop.world.poll_due()
    assert shop.server.refreshes == 2
    assert (await shop.health(connection)).status == "ok"


async def test_a_refresh_token_that_does_not_change_is_kept(shop: Shop) -> None:
    shop.server.rotates = False
    connection = await shop.granted()
    before = await shop.held(connection)
    for _ in range(2):
        shop.passes(hours=1)
        assert (await renewed(shop, connection))["refresh_token"] == before["refresh_token"]


async def test_a_call_that_is_answered_401_is_repeated_once_with_a_new_token(shop: Shop) -> None:
    connection = await shop.granted()
    id_ = await shop.polling(connection)
    for token in shop.server.tokens.values():
        token.ends_at = shop.world.clock.now()  # earlier than the server said
    await shop.world.poll_due()
    assert await shop.world.codes(id_, Kind.POLL) == [Code.ACCEPTED]
    assert shop.server.refreshes == 1


async def test_a_new_token_that_is_refused_as_well_is_not_renewed_again(shop: Shop) -> None:
    connection = await shop.granted()
    id_ = await shop.polling(connection)
    shop.server.more = {"access_token": "unknown"}
    shop.server.tokens.clear()
    await shop.world.poll_due()
    assert await shop.world.codes(id_, Kind.POLL) == [Code.CREDENTIALS_REFUSED]
    assert shop.server.refreshes == 1
    assert (await shop.health(connection)).status == "refused"


# -- many calls and many processes


async def test_many_calls_of_two_processes_make_one_renewal(shop: Shop) -> None:
    connection = await shop.granted()
    seen = (await shop.held(connection))["access_token"]
    processes = [shop.world.calls.tokens, shop.another_process().calls.tokens]
    shop.passes(hours=2)
    found = await asyncio.gather(*(renewed(shop, connection, processes[number % 2], seen) for number in range(20)))
    assert shop.server.refreshes == 1
    assert {one["access_token"] for one in found} == {(await shop.held(connection))["access_token"]}


async def test_pollers_of_two_processes_make_one_renewal(shop: Shop) -> None:
    connection = await shop.granted()
    ids = [await shop.polling(connection) for _ in range(4)]
    worlds = [shop.world, shop.another_process()]
    shop.passes(hours=2)
    claimed = (await shop.world.poller.claim(100)).mine
    assert len(claimed) == 4
    await asyncio.gather(*(worlds[number % 2].poller.run(one) for number, one in enumerate(claimed)))
    assert shop.server.refreshes == 1
    assert [await shop.world.keys(id_) for id_ in ids] == [["1"]] * 4


async def test_while_another_process_renews_a_valid_token_is_used(shop: Shop) -> None:
    connection = await shop.granted()
    id_ = await shop.polling(connection)
    shop.passes(minutes=56)
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slowly(_: dict[str, str]) -> None:
        asked.set()
        await answer.wait()

    shop.server.before_answer = slowly
    slow = asyncio.create_task(renewed(shop, connection, shop.another_process().calls.tokens))
    await asked.wait()
    await shop.world.poll_due()  # does not wait for the slow server
    assert await shop.world.codes(id_, Kind.POLL) == [Code.ACCEPTED]
    answer.set()
    await slow
    assert shop.server.refreshes == 1


async def test_a_call_that_is_given_up_does_not_give_up_its_renewal(shop: Shop) -> None:
    connection = await shop.granted()
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slowly(_: dict[str, str]) -> None:
        asked.set()
        await answer.wait()

    shop.server.before_answer = slowly
    call = asyncio.create_task(renewed(shop, connection))
    await asked.wait()
    call.cancel()
    await asyncio.wait([call])
    answer.set()
    tokens = shop.world.calls.tokens
    while tokens.under_way:
        await asyncio.sleep(0)
    assert (await shop.held(connection))["refresh_token"] in shop.server.refreshing


async def test_a_stop_waits_for_the_renewals_under_way(shop: Shop) -> None:
    connection = await shop.granted()
    before = await shop.held(connection)
    call = asyncio.create_task(renewed(shop, connection))
    while not shop.world.calls.tokens.under_way:
        await asyncio.sleep(0)
    await shop.world.calls.tokens.drain(timedelta(minutes=5))
    assert (await shop.held(connection)) != before
    await call


# -- crashes


async def crashed(shop: Shop, connection: Connection, *, at: int) -> None:
    """Renew in a process that dies before the commit of its transaction number `at`."""
    tokens = shop.world.calls.tokens
    dead = replace(tokens, store=dying(shop.world.store, at=at), under_way={})
    with pytest.raises(Killed):
        await renewed(shop, connection, dead)


_CLAIM, _CLIENT, _STORE = 1, 2, 3  # the transactions of a renewal


async def test_a_crash_before_the_provider_was_asked_costs_nothing(shop: Shop) -> None:
    connection = await shop.granted()
    await crashed(shop, connection, at=_CLAIM)
    await renewed(shop, connection)
    assert shop.server.refreshes == 1


async def test_a_crash_between_answer_and_commit_is_told_if_the_old_token_is_not_taken_any_more(shop: Shop) -> None:
    connection = await shop.granted()
    id_ = await shop.polling(connection)
    shop.passes(hours=2)
    began = shop.world.clock.now()
    await crashed(shop, connection, at=_STORE)
    shop.passes(minutes=2)
    await shop.world.poll_due()

    [outcome] = await shop.world.outcomes(id_, Kind.POLL)
    found = await shop.health(connection)
    assert outcome.code is Code.CREDENTIALS_REFUSED
    assert outcome.detail == found.detail
    assert (found.status, found.renewing) == ("needs_reconnect", True)
    assert f"that began at {began:%Y-%m-%d %H:%M:%S} UTC was cut off before its answer was stored" in found.detail
    assert "Connect the account again." in found.detail
    asked = len(shop.server.asked)
    shop.passes(hours=2)
    await shop.world.poll_due()
    assert len(shop.server.asked) == asked  # the provider is not asked in vain

    again = await shop.granted(connection_id=connection.id)
    assert (again.id, again.ended, (await shop.health(again)).status) == (connection.id, None, "ok")
    await shop.world.poll_due()  # at once
    assert await shop.world.keys(id_) == ["1"]


async def test_a_crash_costs_nothing_where_the_old_token_is_still_taken(shop: Shop) -> None:
    shop.server.rotates = False
    connection = await shop.granted()
    await crashed(shop, connection, at=_STORE)
    shop.passes(minutes=2)
    await renewed(shop, connection)
    assert (await shop.health(connection)).status == "ok"


async def test_a_lost_answer_is_told_like_a_crash(shop: Shop) -> None:
    connection = await shop.granted()

    class Cut(Response):
        async def __call__(self, *_: Any) -> None:
            raise ProviderFailed("The answer ended before it was complete.")

    rt = (await shop.held(connection))["refresh_token"]
    shop.server.faults = [Cut()]
    with pytest.raises(ProviderFailed):
        await renewed(shop, connection)
    assert (await shop.health(connection)).status == "ok"  # nothing is known yet
    shop.server.used[rt] = shop.server.refreshing.pop(rt)  # the server had acted on it
    with pytest.raises(AccessEnded, match="was cut off before its answer was stored"):
        await renewed(shop, connection)
    assert (await shop.health(connection)).status == "needs_reconnect"


async def test_new_tokens_wait_for_a_database_that_is_away(shop: Shop) -> None:
    connection = await shop.granted()
    world, away = shop.world, 3

    async def lose(number: int) -> None:
        nonlocal away
        if number >= _STORE and away:
            away -= 1
            raise Unavailable

    store = Meddled(world.store.engine, world.store.connect, before_commit=lose)
    held = await renewed(shop, connection, replace(world.calls.tokens, store=store, under_way={}))
    assert away == 0
    assert held == await shop.held(connection)
    assert held["refresh_token"] in shop.server.refreshing


async def test_tokens_of_a_process_that_was_thought_dead_are_stored_all_the_same(shop: Shop) -> None:
    connection = await shop.granted()
    shop.server.rotates = False
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slowly(_: dict[str, str]) -> None:
        if not asked.is_set():
            asked.set()
            await answer.wait()

    shop.server.before_answer = slowly
    late = asyncio.create_task(renewed(shop, connection))
    await asked.wait()
    shop.passes(minutes=2)  # its lease is over
    other = await renewed(shop, connection, shop.another_process().calls.tokens)
    answer.set()
    assert await late == other == await shop.held(connection)  # the first that was stored counts for both


async def test_a_user_that_connects_again_meanwhile_is_not_overruled(shop: Shop) -> None:
    connection = await shop.granted()
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slowly(form: dict[str, str]) -> None:
        if form["grant_type"] == "refresh_token":
            asked.set()
            await answer.wait()

    shop.server.before_answer = slowly
    late = asyncio.create_task(renewed(shop, connection))
    await asked.wait()
    again = await shop.held(await shop.granted(connection_id=connection.id))
    answer.set()
    assert await late == again == await shop.held(connection)


async def test_a_rename_during_a_renewal_loses_no_token(shop: Shop) -> None:
    connection = await shop.granted()
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slowly(_: dict[str, str]) -> None:
        asked.set()
        await answer.wait()

    shop.server.before_answer = slowly
    renewal = asyncio.create_task(renewed(shop, connection))
    await asked.wait()
    await shop.world.connections.update(shop.world.caller, connection.id, "Other name", None)
    answer.set()
    held = await renewal
    found = await shop.world.connections.get(shop.world.caller, connection.id)
    assert (found.name, await shop.held(connection)) == ("Other name", held)


# -- refusals


async def test_access_that_the_user_took_back_is_told_and_a_provider_is_not_asked_in_vain(shop: Shop) -> None:
    connection = await shop.granted()
    id_ = await shop.polling(connection)
    shop.server.refreshing.clear()
    shop.server.tokens.clear()
    for _ in range(3):
        await shop.world.poll_due()
        shop.passes(hours=2)
    assert shop.server.refreshes == 1
    assert await shop.world.codes(id_, Kind.POLL) == [Code.CREDENTIALS_REFUSED] * 3
    found = await shop.health(connection)
    assert found.status == "needs_reconnect"
    assert found.detail.startswith("The access has ended: The provider answered 'invalid_grant': Token is not active.")


@pytest.mark.parametrize(
    "fault",
    [PlainTextResponse("Bad gateway", 502), JSONResponse({}, 429), PlainTextResponse("<html>"), JSONResponse([])],
)
async def test_a_token_endpoint_in_trouble_is_asked_again_later(shop: Shop, fault: Response) -> None:
    connection = await shop.granted()
    id_ = await shop.polling(connection)
    shop.passes(hours=2)
    shop.server.faults = [fault]
    await shop.world.poll_due()
    [code] = await shop.world.codes(id_, Kind.POLL)
    assert code in {Code.FAILED, Code.RATE_LIMITED}
    assert (await shop.health(connection)).status == "ok"
    shop.passes(hours=2)
    await shop.world.poll_due()
    assert await shop.world.keys(id_) == ["1"]


async def test_a_valid_token_is_used_while_the_token_endpoint_is_in_trouble(shop: Shop) -> None:
    connection = await shop.granted()
    id_ = await shop.polling(connection)
    shop.passes(minutes=56)
    shop.server.faults = [PlainTextResponse("Bad gateway", 502)]
    await shop.world.poll_due()
    assert await shop.world.codes(id_, Kind.POLL) == [Code.ACCEPTED]


async def test_a_token_that_can_not_be_renewed_is_told_when_it_has_ended(shop: Shop) -> None:
    shop.server.more = {"refresh_token": None}
    connection = await shop.granted()
    await shop.polling(connection)
    shop.passes(hours=1)
    assert await shop.world.calls.tokens.run_due() == 1  # without a poll
    found = await shop.health(connection)
    assert found.status == "expired"
    assert found.detail == "The access token has ended, and the provider gave nothing to renew it with."


async def test_a_worker_renews_what_no_call_renews_and_seldom_what_no_trigger_needs(shop: Shop) -> None:
    needed, unneeded = await shop.granted(), await shop.granted()
    await shop.polling(needed)
    shop.passes(minutes=56)
    assert await shop.world.calls.tokens.run_due() == 1
    assert await shop.world.calls.tokens.run_due() == 0
    assert shop.server.refreshes == 1
    shop.passes(days=7)
    assert await shop.world.calls.tokens.run_due() == 2
    assert (await shop.held(unneeded))["refresh_token"] in shop.server.refreshing


async def test_a_key_is_sent_as_before(shop: Shop) -> None:
    world = shop.world
    shop.server.tokens["k"] = Token("k", world.clock.now() + timedelta(days=365), "")
    shop.server.grants["k"] = "key"
    connection = await world.connections.create(world.caller, "shop", "Key", {"api_key": "k"}, way="key")
    id_ = await shop.polling(connection)
    await world.poll_due()
    assert await world.keys(id_) == ["1"]
    shop.server.tokens.clear()
    shop.passes(minutes=1)
    await world.poll_due()
    found = await shop.health(connection)
    assert (found.status, found.detail) == ("refused", "The provider refused access with 401.")
    assert shop.server.asked == []
