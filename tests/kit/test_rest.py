"""Polls and subscriptions that are described by data."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.applications import Starlette

from hairtrigger import kit
from hairtrigger.conformance.asking import NOW, question
from hairtrigger.domain.errors import CallRefused, MissingAtProvider, ProviderFailed

pytestmark = pytest.mark.anyio

THINGS = kit.Fields(key="/id", at="/at")


class Service:
    """A list in which a page is asked for by a token. `refusal` is what it says of a token."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.refusal = refusal
        self.asked: list[Any] = []

    async def page(self, _: kit.Question[Any], look: kit.Look) -> Mapping[str, Any]:
        self.asked.append(look.token)
        if look.token and self.refusal:
            raise self.refusal
        number = int(look.token or 0)
        thing = {"id": str(number), "at": (NOW + timedelta(seconds=number)).isoformat()}
        return {"things": [thing], "next": str(number + 1) if number < 2 else None}


def poll(service: Service) -> kit.Asked[kit.PollingConfig]:
    return kit.Asked(service.page, THINGS, timedelta(minutes=1), items="/things", following="/next")


def asked(cursor: Mapping[str, Any] | None) -> kit.Question[Any]:
    definition = kit.Polling(id="on_it", name="It", description="It.", config=kit.PollingConfig, poll=poll(Service()))
    provider = kit.Provider(id="it", name="It", base_url="https://it.example/", triggers=(definition,))
    return question(provider, definition, Starlette(), cursor=cursor)


@pytest.mark.parametrize("refusal", [CallRefused("The provider answered 400."), MissingAtProvider()])
async def test_a_page_that_is_forgotten_is_asked_for_from_the_beginning(refusal: Exception) -> None:
    service = Service()
    first = await poll(service)(asked(None))
    service.refusal = refusal

    again = await poll(service)(asked(first.cursor))

    assert service.asked == [None, "1", None]
    assert [one.key for one in first.events] == ["0"]
    assert again.events == []  # it is known
    assert again.more


async def test_a_page_that_fails_is_asked_for_again_by_its_token() -> None:
    service = Service()
    first = await poll(service)(asked(None))
    service.refusal = ProviderFailed("The provider answered 500.")

    with pytest.raises(ProviderFailed):
        await poll(service)(asked(first.cursor))

    assert service.asked == [None, "1"]


@pytest.mark.parametrize(
    ("unit", "text", "moment"),
    [
        ("iso", "2026-05-01T14:00:00+02:00", datetime(2026, 5, 1, 12, tzinfo=UTC)),
        ("utc", "2026-05-01T12:00:00", datetime(2026, 5, 1, 12, tzinfo=UTC)),
        ("mail", "Fri, 01 May 2026 12:00:00 +0000", datetime(2026, 5, 1, 12, tzinfo=UTC)),
        ("s", 1777636800, datetime(2026, 5, 1, 12, tzinfo=UTC)),
        ("ms", "1777636800000", datetime(2026, 5, 1, 12, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_as_its_provider_writes_it(unit: Any, text: Any, moment: datetime) -> None:
    (draft,) = kit.Fields(key="/id", at="/at", unit=unit).drafts([{"id": 1, "at": text}])

    assert draft.occurred_at == moment


@pytest.mark.parametrize("unit", ["iso", "utc", "mail", "s", "ms"])
@pytest.mark.parametrize("text", ["soon", None, {}, "2026-05-01T12:00:00", "2026-05-01T12:00:00Z"])
def test_what_is_no_time_of_its_provider_is_refused(unit: Any, text: Any) -> None:
    if (unit, text) in [("iso", "2026-05-01T12:00:00Z"), ("utc", "2026-05-01T12:00:00")]:
        return
    with pytest.raises(ProviderFailed, match="at is missing or of the wrong type"):
        kit.Fields(key="/id", at="/at", unit=unit).drafts([{"id": 1, "at": text}])
