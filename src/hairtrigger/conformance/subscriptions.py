"""Rules for the calls that make a webhook at its provider and remove it."""

import json
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from hairtrigger.conformance.asking import OTHER_URL, URL
from hairtrigger.conformance.fakes import Fake
from hairtrigger.conformance.subjects import Subject, require
from hairtrigger.domain.errors import CredentialsRefused, ProviderFailed
from hairtrigger.kit.trigger import Registration, Subscription, Webhook

_OURS = "whsec_b3VycywgMzIgYnl0ZXMgbG9uZywgZm9yIGEgdGVzdA=="
_LONGER = f"{OTHER_URL}/longer"


def _start(subject: Subject, trigger: Webhook[Any]) -> tuple[Fake, Subscription[Any]]:
    """Return a new fake at which other programs have webhooks, and the trigger's subscription, which has made none yet.

    The trigger must have a subscription. Its calls reach the fake through `subject.question(trigger, fake)`.
    """
    assert trigger.subscription
    fake = subject.made()
    for url in (OTHER_URL, _LONGER):
        fake.add_hook(trigger.id, url)
    return fake, trigger.subscription


def _urls(fake: Fake) -> Sequence[str]:
    return sorted(one.url for one in fake.hooks())


def _require_one(fake: Fake, registration: Registration) -> None:
    require(
        _urls(fake) == sorted([URL, OTHER_URL, _LONGER]),
        f"The provider has webhooks for {_urls(fake)}, and not one for {URL} beside those of others.",
    )
    (ours,) = (one for one in fake.hooks() if one.url == URL)
    require(
        ours.secret in (None, registration.secret),
        "The secret that is kept is not the one with which the provider signs.",
    )
    require(registration.secret.strip(), "The secret that is kept is empty.")
    require(
        registration.secret not in json.dumps(dict(registration.remote)),
        "What users see of the webhook holds its secret.",
    )


async def is_made_once(subject: Subject, trigger: Webhook[Any]) -> None:
    fake, subscription = _start(subject, trigger)
    _require_one(fake, await subscription.create(subject.question(trigger, fake), URL, _OURS))
    _require_one(fake, await subscription.create(subject.question(trigger, fake), URL, f"{_OURS}2"))


async def is_removed_alone(subject: Subject, trigger: Webhook[Any]) -> None:
    fake, subscription = _start(subject, trigger)
    await subscription.create(subject.question(trigger, fake), URL, _OURS)
    for _ in range(2):  # it is no error if there is none
        await subscription.remove(subject.question(trigger, fake), URL)
        require(
            _urls(fake) == sorted([OTHER_URL, _LONGER]),
            f"After the removal the provider has webhooks for {_urls(fake)}.",
        )


async def is_found_on_the_last_page(subject: Subject, trigger: Webhook[Any]) -> None:
    fake, subscription = _start(subject, trigger)
    await subscription.create(subject.question(trigger, fake), URL, _OURS)
    fake.page = 1
    fake.add_hook(trigger.id, f"{OTHER_URL}/newest")
    await subscription.remove(subject.question(trigger, fake), URL)
    require(URL not in _urls(fake), "The webhook is not removed where the provider's list has several pages.")
    require(len(_urls(fake)) == 3, f"The provider now has webhooks for {_urls(fake)}.")


async def is_whole_whatever_breaks(subject: Subject, trigger: Webhook[Any]) -> None:
    """Each request of a registration fails in turn, before and after the provider has done what it asks for."""
    fake, subscription = _start(subject, trigger)
    await subscription.create(subject.question(trigger, fake), URL, _OURS)
    calls = len(fake.asked)
    for number in range(calls):
        for after in (False, True):
            fake, subscription = _start(subject, trigger)
            fake.fail(500, skip=number, after=after)
            with suppress(ProviderFailed):
                _require_one(fake, await subscription.create(subject.question(trigger, fake), URL, _OURS))
            _require_one(fake, await subscription.create(subject.question(trigger, fake), URL, f"{_OURS}2"))


async def is_removed_whatever_breaks(subject: Subject, trigger: Webhook[Any]) -> None:
    fake, subscription = _start(subject, trigger)
    await subscription.create(subject.question(trigger, fake), URL, _OURS)
    before = len(fake.asked)
    await subscription.remove(subject.question(trigger, fake), URL)
    calls = fake.asked[before:]
    for number, call in enumerate(calls):
        for status in (500, 404) if call.startswith("DELETE ") else (500,):
            fake, subscription = _start(subject, trigger)
            await subscription.create(subject.question(trigger, fake), URL, _OURS)
            fake.fail(status, skip=number, after=status == HTTPStatus.NOT_FOUND)
            if status == HTTPStatus.NOT_FOUND:
                await subscription.remove(subject.question(trigger, fake), URL)
            else:
                with suppress(ProviderFailed):
                    await subscription.remove(subject.question(trigger, fake), URL)
                    require(URL not in _urls(fake), f"A removal whose request {call} failed counts as done.")
                await subscription.remove(subject.question(trigger, fake), URL)
            require(_urls(fake) == sorted([OTHER_URL, _LONGER]), f"The provider has webhooks for {_urls(fake)}.")


async def says_that_credentials_are_refused(subject: Subject, trigger: Webhook[Any]) -> None:
    if not subject.provider.auth.secrets:
        return
    fake, subscription = _start(subject, trigger)
    asked = subject.question(trigger, fake, refused=True)
    for attempt in (subscription.create(asked, URL, _OURS), subscription.remove(asked, URL)):
        try:
            await attempt
        except CredentialsRefused:
            continue
        require(False, "A call with wrong credentials does not say that they are refused.")
    require(_urls(fake) == sorted([OTHER_URL, _LONGER]), f"The provider has webhooks for {_urls(fake)}.")


RULES = (
    is_made_once,
    is_removed_alone,
    is_found_on_the_last_page,
    is_whole_whatever_breaks,
    is_removed_whatever_breaks,
    says_that_credentials_are_refused,
)
