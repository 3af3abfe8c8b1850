"""A provider is asked for the values of a field, with the connection of the organisation that asks."""

import pytest

from hairtrigger.conformance.internet import Internet
from hairtrigger.domain.errors import CredentialsRefused, Invalid, NotFound, NotReady, RateLimited
from hairtrigger.kit.trigger import Option, OptionPage, Polling, PollingConfig, Provider, Question
from hairtrigger.platform.shares import Tenant
from hairtrigger.platform.vault import Vault
from hairtrigger.providers import slack, typeform
from hairtrigger.services.setup.field_options import MOST, FieldOptions
from hairtrigger.store.database import Store
from tests.providers.typeform.fake import Typeform, app
from tests.services.world import World, a_world
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio


async def _poll(_: object) -> None:
    raise AssertionError


async def _many(question: Question[PollingConfig], search: str, page: str | None) -> OptionPage:
    assert question.config.model_dump(warnings=False) == {"polling_frequency": "not checked"}
    options = [Option(f"{search}{number}", "x" * 1000) for number in range(2 * MOST)]
    return OptionPage([Option("y" * 1000, "too long"), *options], "z" * 1000)


MANY = Provider(
    id="many",
    name="Many",
    triggers=(
        Polling(
            id="on_thing",
            name="Thing",
            description="",
            config=PollingConfig,
            poll=_poll,  # type: ignore[arg-type]
            options={"polling_frequency": _many},
        ),
    ),
)


@pytest.fixture
def account() -> Typeform:
    return Typeform(forms=tuple(f"form{number}" for number in range(150)))


@pytest.fixture
async def world(store: Store, clock: ManualClock, vault: Vault, account: Typeform) -> World:
    http = Internet({"https://api.typeform.com": app(account)})
    return await a_world(store, clock, vault, typeform.provider, slack.provider, MANY, http=http)


def options(world: World) -> FieldOptions:
    calls, catalogue = world.triggers.calls, world.triggers.catalogue
    return FieldOptions(store=world.store, catalogue=catalogue, calls=calls)


async def test_forms_are_found_by_their_titles_page_by_page(world: World) -> None:
    connection = await world.connections.create(world.caller, "typeform", "Mine", {"token": "tfp_right"})

    async def page(search: str, token: str | None) -> OptionPage:
        return await options(world).page(
            *(world.caller, "typeform", "on_form_submitted", "form_id", connection.id), {}, search, token
        )

    first = await page("", None)
    second = await page("", first.following)
    found = await page("form14", None)

    assert [one.value for one in (*first.options, *second.options)] == [f"form{number}" for number in range(150)]
    assert second.following is None
    assert [one.label for one in found.options] == [
        "Form form14",
        *(f"Form form{number}" for number in range(140, 150)),
    ]


async def test_what_is_missing_is_said(world: World) -> None:
    refused = await world.connections.create(world.caller, "typeform", "Old", {"token": "tfp_wrong"})
    other = await world.connections.create(world.caller, "slack", "Slack", {"bot_token": "xoxb"})
    form = (world.caller, "typeform", "on_form_submitted", "form_id")

    with pytest.raises(Invalid, match="connection"):
        await options(world).page(*form, None, {}, search="", token=None)
    with pytest.raises(Invalid, match="not to 'typeform'"):
        await options(world).page(*form, other.id, {}, search="", token=None)
    with pytest.raises(CredentialsRefused):
        await options(world).page(*form, refused.id, {}, search="", token=None)
    with pytest.raises(NotReady, match="can't be listed"):
        await options(world).page(
            world.caller, "slack", "on_message_received", "channel", other.id, {}, search="", token=None
        )
    with pytest.raises(NotFound, match="'other'"):
        await options(world).page(*form[:3], "other", refused.id, {}, search="", token=None)


async def test_an_answer_is_bounded_and_an_unfinished_form_is_not_checked(world: World) -> None:
    entered = {"polling_frequency": "not checked", "unknown": 1}
    found = await options(world).page(
        world.caller, "many", "on_thing", "polling_frequency", None, entered, search="a", token=None
    )

    assert [one.value for one in found.options] == [f"a{number}" for number in range(MOST)]
    assert {len(one.label) for one in found.options} == {500}
    assert found.following is None


async def test_too_many_questions_at_a_time_are_refused(world: World) -> None:
    places, tenant = world.triggers.calls.places, Tenant(str(world.caller.org_id))
    while places.taken(tenant):
        pass

    with pytest.raises(RateLimited):
        await options(world).page(
            world.caller, "many", "on_thing", "polling_frequency", None, {}, search="", token=None
        )
