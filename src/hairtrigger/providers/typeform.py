"""The provider Typeform. Each trigger is a webhook of its form, under a tag of its own.

https://www.typeform.com/developers/webhooks/
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from pydantic import Field

from hairtrigger import kit


class Form(kit.Config):
    form_id: str = Field(
        pattern="^[A-Za-z0-9_-]+$",
        title="Form",
        description="The form's id: what follows /to/ or /form/ in its address.",
        examples=["u6nXL7"],
    )


class Response(kit.Payload):
    token: str
    submitted_at: kit.Instant


class Submission(kit.Payload):
    """A request that brings a filled-in form.

    https://www.typeform.com/developers/webhooks/example-payload/
    """

    event_id: kit.Key
    event_type: str
    form_response: Response


class Responses(kit.Payload):
    items: list[dict[str, Any]]


class FormWebhook:
    """The subscription to the submissions of a form, by a webhook for each trigger.

    https://www.typeform.com/developers/webhooks/reference/create-or-update-webhook/
    """

    async def create(self, question: kit.Question[Form], url: str, secret: str) -> kit.Registration:
        path, webhook = _path(question, url), {"url": url, "enabled": True, "secret": secret, "verify_ssl": True}
        await question.api.put(path, webhook)
        return kit.Registration({"form_id": question.config.form_id, "webhook_tag": _tag(url)}, secret)

    async def remove(self, question: kit.Question[Form], url: str) -> None:
        with suppress(kit.MissingAtProvider):
            await question.api.delete(_path(question, url))


def _path(question: kit.Question[Form], url: str) -> str:
    return f"forms/{question.config.form_id}/webhooks/{_tag(url)}"


def _tag(url: str) -> str:
    """Return a tag that is the same for the same URL, so that a second PUT changes the same webhook."""
    return f"hairtrigger-{url.rpartition('/')[2]}"


def _submitted(incoming: kit.Incoming[Form]) -> Iterable[kit.Draft]:
    submission = incoming.parse(Submission)
    if submission.event_type != "form_response":
        raise kit.NotWanted(f"It is a {submission.event_type[:100]}; this trigger listens to form_response.")
    yield kit.Draft(
        key=submission.event_id,
        data=incoming.request.body,
        subject=submission.form_response.token,
        occurred_at=submission.form_response.submitted_at,
    )


async def _samples(question: kit.Question[Form]) -> Sequence[Any]:
    """Return up to three responses in the shape of webhook requests. https://www.typeform.com/developers/responses/"""
    form_id = question.config.form_id
    answer = await question.api.get(f"forms/{form_id}/responses", {"page_size": 3})
    return [
        {
            "event_id": response.get("token"),
            "event_type": "form_response",
            "form_response": {"form_id": form_id, **response},
        }
        for response in kit.read(Responses, answer).items
    ]


provider = kit.Provider(
    id="typeform",
    name="Typeform",
    icon="📝",
    base_url="https://api.typeform.com/",
    auth=kit.Bearer("token"),
    guide="In Typeform, in the settings of your account, make a personal access token that may read responses and "
    "write webhooks.",
    labels={"token": "Personal access token"},
    check=lambda api: api.get("me"),
    triggers=(
        kit.Webhook(
            id="on_form_submitted",
            name="Form submitted",
            description="Somebody filled in a form.",
            instructions="Connect with a personal access token that may read the form's responses and write webhooks.",
            config=Form,
            verify=kit.TYPEFORM,
            subscription=FormWebhook(),
            events=_submitted,
            samples=_samples,
        ),
    ),
)
