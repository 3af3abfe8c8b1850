import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from hairtrigger.domain.errors import CredentialsRefused, MissingAtProvider
from hairtrigger.kit.trigger import Lists, Question, Subscription, Webhook
from tests.providers.asking import arrived, asking, events, trigger
from tests.providers.typeform.fake import Typeform, app

pytestmark = pytest.mark.anyio

URL = "https://hooks.example.com/v1/webhooks/018f4e7a-0000-7000-8000-000000000001"
TAG = "hairtrigger-018f4e7a-0000-7000-8000-000000000001"
SUBMITTED: Webhook[Any] = trigger("typeform", "on_form_submitted")


def webhook() -> Subscription[Any]:
    assert SUBMITTED.subscription
    return SUBMITTED.subscription


def question(account: Typeform, form_id: str = "u6nXL7", token: str = "tfp_right") -> Question[Any]:
    return asking("typeform", "on_form_submitted", app(account), {"form_id": form_id}, {"token": token})


async def test_a_webhook_is_put_under_a_tag_of_its_own_with_our_secret() -> None:
    account = Typeform()

    registration = await webhook().create(question(account), URL, "ours")

    assert account.webhooks == {
        ("u6nXL7", TAG): {"url": URL, "enabled": True, "secret": "ours", "verify_ssl": True},
    }
    assert registration.remote == {"form_id": "u6nXL7", "webhook_tag": TAG}
    assert registration.secret == "ours"


async def test_a_webhook_put_twice_is_there_once_with_the_later_secret() -> None:
    account = Typeform()

    await webhook().create(question(account), URL, "first")
    await webhook().create(question(account), URL, "second")

    assert [one["secret"] for one in account.webhooks.values()] == ["second"]


async def test_only_our_webhook_is_removed_and_only_once() -> None:
    account = Typeform(webhooks={("u6nXL7", "somebody-else"): {}})
    await webhook().create(question(account), URL, "ours")

    await webhook().remove(question(account), URL)
    await webhook().remove(question(account), URL)

    assert list(account.webhooks) == [("u6nXL7", "somebody-else")]


async def test_a_webhook_of_a_form_that_is_gone_is_removed_already() -> None:
    await webhook().remove(question(Typeform(forms=())), URL)


async def test_a_form_that_does_not_exist_can_have_no_webhook() -> None:
    with pytest.raises(MissingAtProvider):
        await webhook().create(question(Typeform(), "other"), URL, "ours")


async def test_a_token_that_is_no_longer_good_is_called_that() -> None:
    asked = question(Typeform(), token="tfp_wrong")

    for attempt in (webhook().create(asked, URL, ""), webhook().remove(asked, URL)):
        with pytest.raises(CredentialsRefused):
            await attempt


async def test_samples_are_the_latest_responses_in_the_shape_of_their_deliveries() -> None:
    responses = [{"token": f"t{n}", "submitted_at": "2026-05-01T12:00:00Z", "answers": []} for n in range(5)]
    account = Typeform(responses={"u6nXL7": responses})
    assert SUBMITTED.samples

    samples = await SUBMITTED.samples(question(account))

    assert [sample["event_id"] for sample in samples] == ["t0", "t1", "t2"]
    assert samples[0]["form_response"] == {"form_id": "u6nXL7", **responses[0]}


async def test_the_form_s_webhooks_are_listed_with_their_state() -> None:
    account = Typeform(webhooks={("u6nXL7", "other"): {"url": "https://example.com/", "enabled": False}})
    await webhook().create(question(account), URL, "ours")
    subscription = webhook()
    assert isinstance(subscription, Lists)

    found = await subscription.list(question(account))

    assert {one.url: one.enabled for one in found} == {URL: True, "https://example.com/": False}


async def test_a_sweep_brings_the_submissions_under_the_keys_of_their_requests() -> None:
    def response(number: int, at: str) -> dict[str, Any]:
        return {"token": f"t{number}", "submitted_at": at, "answers": []}

    early, late = "2026-05-01T10:00:00Z", "2026-05-01T12:00:01Z"
    account = Typeform(responses={"u6nXL7": [response(2, late), response(1, late), response(0, early)]})
    assert SUBMITTED.sweep

    page = await SUBMITTED.sweep.poll(question(account))
    again = await SUBMITTED.sweep.poll(replace(question(account), cursor=page.cursor))

    sent = {"event_id": "e1", "event_type": "form_response", "form_response": response(1, late)}
    [pushed] = events(SUBMITTED, arrived(json.dumps(sent).encode()), {"form_id": "u6nXL7"})
    swept = {one.key: one for one in page.events}
    assert sorted(swept) == ["t1", "t2"]
    assert (swept["t1"].key, swept["t1"].subject, swept["t1"].occurred_at) == (
        pushed.key,
        pushed.subject,
        pushed.occurred_at,
    )
    assert pushed.former_keys == ("e1",), "an event of an earlier version has this key"
    assert (list(again.events), page.more) == ([], False)


async def test_a_sweep_goes_on_where_a_full_page_ends() -> None:
    at = [f"2026-05-01T12:{n // 60 % 60:02}:{n % 60:02}Z" for n in range(1500)]
    responses = [{"token": f"t{n}", "submitted_at": one, "answers": []} for n, one in enumerate(at)]
    account = Typeform(responses={"u6nXL7": responses})
    assert SUBMITTED.sweep

    asked, found, more = question(account), set[str](), True
    while more:
        page = await SUBMITTED.sweep.poll(asked)
        asked, more = replace(asked, cursor=page.cursor), page.more
        found |= {one.key for one in page.events}

    assert found == {f"t{n}" for n in range(1500)}


def test_a_response_that_is_not_finished_is_no_submission() -> None:
    body = b"""{"event_id": "1", "event_type": "form_response_partial",
        "form_response": {"token": "t", "submitted_at": "2026-05-01T12:00:00Z"}}"""

    assert events(SUBMITTED, arrived(body), {"form_id": "u6nXL7"}) == []


@pytest.mark.parametrize("form_id", ["", "../../me", "a/b", "a?b", "a b", "u6nXL7\n"])
def test_what_is_no_form_s_id_is_refused(form_id: str) -> None:
    with pytest.raises(ValidationError):
        SUBMITTED.config.model_validate({"form_id": form_id})
