import json
from dataclasses import replace
from typing import Any

import pytest

from hairtrigger.domain.errors import CredentialsRefused, ProviderFailed
from hairtrigger.domain.event import Draft
from hairtrigger.kit.trigger import Lists, Question, Subscription, Webhook
from tests.providers.asking import NOW, arrived, asking, events, trigger
from tests.providers.stripe.fake import Stripe, app

pytestmark = pytest.mark.anyio

URL = "https://hooks.example.com/v1/webhooks/018f4e7a-0000-7000-8000-000000000001"
OTHER_URL = "https://hooks.example.com/v1/webhooks/018f4e7a-0000-7000-8000-000000000002"
CUSTOMER_CREATED: Webhook[Any] = trigger("stripe", "on_customer_created")


def endpoint() -> Subscription[Any]:
    assert CUSTOMER_CREATED.subscription
    return CUSTOMER_CREATED.subscription


def question(account: Stripe, key: str = "sk_test_right") -> Question[Any]:
    return asking("stripe", "on_customer_created", app(account), secrets={"api_key": key})


async def test_an_endpoint_is_made_for_the_one_kind_of_event() -> None:
    account = Stripe()

    registration = await endpoint().create(question(account), URL, "ours")

    (made,) = account.endpoints
    assert (made["url"], made["enabled_events"]) == (URL, ["customer.created"])
    assert made["metadata"] == {"created_by": "hairtrigger"}
    assert registration.remote == {"webhook_endpoint_id": made["id"]}
    assert registration.secret == made["secret"] != "ours"


async def test_an_endpoint_made_twice_is_there_once_with_the_later_secret() -> None:
    account = Stripe()

    await endpoint().create(question(account), URL, "")
    registration = await endpoint().create(question(account), URL, "")

    (made,) = account.endpoints
    assert made["secret"] == registration.secret


async def test_only_our_endpoint_is_removed_though_it_is_on_the_last_of_many_pages() -> None:
    account = Stripe(page=2)
    for url in (URL, URL, OTHER_URL, f"{URL}x", "https://example.com/", OTHER_URL, URL):
        account.add_endpoint(url, "*")

    await endpoint().remove(question(account), URL)

    assert [one["url"] for one in account.endpoints] == [OTHER_URL, f"{URL}x", "https://example.com/", OTHER_URL]


async def test_removing_what_is_not_there_is_success() -> None:
    await endpoint().remove(question(Stripe()), URL)


async def test_a_key_that_is_no_longer_good_is_called_that() -> None:
    asked = question(Stripe(), "sk_test_wrong")

    for attempt in (endpoint().create(asked, URL, ""), endpoint().remove(asked, URL)):
        with pytest.raises(CredentialsRefused):
            await attempt


async def test_samples_are_the_latest_events_of_the_kind() -> None:
    kinds = ["customer.created", "invoice.paid"] * 4
    account = Stripe(events=[{"id": f"evt_{n}", "type": kind} for n, kind in enumerate(kinds)])
    assert CUSTOMER_CREATED.samples

    samples = await CUSTOMER_CREATED.samples(question(account))

    assert [sample["id"] for sample in samples] == ["evt_6", "evt_4", "evt_2"]


async def test_an_endpoint_that_stripe_has_disabled_is_listed_as_such() -> None:
    account = Stripe(page=2)
    for url in (URL, OTHER_URL, "https://example.com/"):
        account.add_endpoint(url, "*")
    account.endpoints[0]["status"] = "disabled"
    subscription = endpoint()
    assert isinstance(subscription, Lists)

    found = await subscription.list(question(account))

    assert {one.url: one.enabled for one in found} == {URL: False, OTHER_URL: True, "https://example.com/": True}


async def test_a_sweep_brings_what_a_request_would_have_brought_from_all_pages() -> None:
    old, new = int(NOW.timestamp()) - 3600, int(NOW.timestamp()) + 60
    kinds = [("customer.created", old), *[("customer.created", new), ("invoice.paid", new)] * 4]
    account = Stripe(page=2)
    account.events = [
        {"id": f"evt_{n}", "type": kind, "created": at, "data": {"object": {"id": f"cus_{n}"}}}
        for n, (kind, at) in enumerate(kinds)
    ]
    assert CUSTOMER_CREATED.sweep

    asked, found, more = question(account), list[Draft](), True
    while more:
        page = await CUSTOMER_CREATED.sweep.poll(asked)
        asked, more = replace(asked, cursor=page.cursor), page.more
        found += page.events
    again = await CUSTOMER_CREATED.sweep.poll(asked)

    sent = [events(CUSTOMER_CREATED, arrived(json.dumps(one).encode())) for one in account.events]
    pushed = {one[0].key: one[0] for one in sent[1:] if one}
    swept = {one.key: replace(one, data=json.dumps(json.loads(one.data)).encode()) for one in found}
    assert swept == pushed
    assert len(found) == 4
    assert list(again.events) == []


async def test_an_answer_of_another_shape_is_the_provider_s_failure() -> None:
    account = Stripe(endpoints=[{"id": None, "url": URL}])

    with pytest.raises(ProviderFailed, match="id is missing"):
        await endpoint().remove(question(account), URL)


def test_an_event_of_another_kind_is_none_of_the_trigger_s() -> None:
    body = b'{"id": "evt_1", "type": "invoice.upcoming", "created": 1686089970, "data": {"object": {}}}'

    assert events(CUSTOMER_CREATED, arrived(body)) == []
