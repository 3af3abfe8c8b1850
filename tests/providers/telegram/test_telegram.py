from typing import Any

import pytest

from hairtrigger.conformance.asking import URL
from hairtrigger.domain.errors import CredentialsRefused, Invalid, NotWanted
from hairtrigger.kit.incoming import Incoming
from hairtrigger.kit.trigger import Question
from tests.providers.asking import arrived, asking, provider, trigger
from tests.providers.telegram.fake import TOKEN, Fake

pytestmark = pytest.mark.anyio

OURS = "https://hooks.example.com/v1/webhooks/018f4e7a-0000-7000-8000-00000000000f"


def question(fake: Fake, token: str = TOKEN, trigger_id: str = "on_message", **config: Any) -> Question[Any]:
    return asking("telegram", trigger_id, fake.app, config, {"token": token})


@pytest.mark.parametrize(
    ("there", "by"),
    [(OURS, "another trigger of this service"), ("https://n8n.example.org/hook", "a service at n8n.example.org")],
)
async def test_the_webhook_of_another_is_neither_taken_nor_removed(there: str, by: str) -> None:
    fake, subscription = Fake(), trigger("telegram", "on_message").subscription
    fake.webhook = {"url": there}

    with pytest.raises(Invalid, match=f"The bot sends its updates to {by}, and a bot has one webhook"):
        await subscription.create(question(fake), URL, "secret")
    await subscription.remove(question(fake), URL)

    assert fake.webhook == {"url": there}


async def test_only_the_chosen_kinds_are_asked_for_and_the_secret_has_letters_that_telegram_takes() -> None:
    fake, subscription = Fake(), trigger("telegram", "on_update").subscription
    chosen = question(fake, trigger_id="on_update", kinds=["poll_answer", "message"])

    made = await subscription.create(chosen, URL, "whsec_a/b+c=")
    again = await subscription.create(chosen, URL, made.secret)

    assert fake.webhook["allowed_updates"] == ["poll_answer", "message"]
    assert again.secret == made.secret == fake.webhook["secret_token"]


async def test_a_token_of_no_bot_is_refused() -> None:
    fake = Fake()

    for attempt in ("getWebhookInfo", "getMe"):
        with pytest.raises(CredentialsRefused):
            await question(fake, "999:wrong").api.get(attempt)
    check = provider("telegram").check
    assert check
    fake.fail(404, {}, b'{"ok": false, "error_code": 404, "description": "Not Found"}')
    with pytest.raises(CredentialsRefused, match="Telegram knows no bot with this token"):
        await check(question(fake).api)


def test_an_update_of_another_kind_is_not_wanted() -> None:
    request = arrived(b'{"update_id": 1, "edited_message": {"date": 1, "chat": {"id": 2}}}')
    definition = trigger("telegram", "on_message")

    with pytest.raises(NotWanted, match="It is a edited_message; this trigger listens to message"):
        definition.events(Incoming(request, definition.config()))
