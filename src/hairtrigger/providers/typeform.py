"""Defines the provider Typeform. Each trigger has a webhook of its own on a form, under a tag of its own.

https://www.typeform.com/developers/webhooks/
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
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


# https://www.typeform.com/developers/webhooks/example-payload/
# A request and the list of responses both have the token of a submission. Earlier versions took the id of the request.
SUBMISSIONS = kit.Fields(
    key="/form_response/token",
    type="/event_type",
    subject="/form_response/token",
    at="/form_response/submitted_at",
    former=("/event_id",),
)
RESPONSES = kit.Fields(key="/token", subject="/token", at="/submitted_at")


class Listed(kit.Payload):
    id: str
    title: str = ""


class Forms(kit.Payload):
    items: list[Listed]
    page_count: int = 1


class Responses(kit.Payload):
    items: list[dict[str, Any]]


class Webhook(kit.Payload):
    url: str
    enabled: bool


class Webhooks(kit.Payload):
    items: list[Webhook]


class FormWebhook:
    """The subscription to the submissions of a form. Each trigger has a webhook of its own.

    https://www.typeform.com/developers/webhooks/reference/create-or-update-webhook/
    """

    async def create(self, question: kit.Question[Form], url: str, secret: str) -> kit.Registration:
        path, webhook = _path(question, url), {"url": url, "enabled": True, "secret": secret, "verify_ssl": True}
        await question.api.put(path, webhook)
        return kit.Registration({"form_id": question.config.form_id, "webhook_tag": _tag(url)}, secret)

    async def list(self, question: kit.Question[Form]) -> Sequence[kit.Registered]:
        """Return the form's webhooks. https://www.typeform.com/developers/webhooks/reference/retrieve-webhooks/"""
        found = kit.read(Webhooks, await question.api.get(f"forms/{question.config.form_id}/webhooks"))
        return [kit.Registered(one.url, one.enabled) for one in found.items]

    async def remove(self, question: kit.Question[Form], url: str) -> None:
        with suppress(kit.MissingAtProvider):
            await question.api.delete(_path(question, url))


def _path(question: kit.Question[Form], url: str) -> str:
    return f"forms/{question.config.form_id}/webhooks/{_tag(url)}"


def _tag(url: str) -> str:
    """Return the tag of a webhook. It is the same for the same URL, so that a second PUT changes the same webhook."""
    return f"hairtrigger-{url.rpartition('/')[2]}"


class _FromTheLast:
    """Pages of responses in the order of their submission. Each begins at the second of the last response before."""

    first: Mapping[str, Any] = {"sort": "submitted_at,asc", "page_size": 1000}

    def following(self, asked: Mapping[str, Any], _: Any, items: Sequence[Any]) -> Mapping[str, Any] | None:
        since = str(items[-1]["submitted_at"]).removesuffix("Z") if items else ""
        is_full = len(items) >= self.first["page_size"]
        return {**asked, "since": since} if is_full and since != asked["since"] else None


# https://www.typeform.com/developers/responses/reference/retrieve-responses/
# Unconfirmed: a response is said to appear in the list up to 30 minutes after its submission.
_RESPONSES = kit.Listed[Form](
    lambda config: f"forms/{config.form_id}/responses",
    RESPONSES,
    lambda since: {"since": f"{since:%Y-%m-%dT%H:%M:%S}"},
    late=timedelta(hours=1),
    items="/items",
    paging=_FromTheLast(),
)


async def _swept(question: kit.Question[Form]) -> kit.Page:
    """Return the submissions in the shape of webhook requests, without the form's definition, which the list lacks."""
    page, form_id = await _RESPONSES(question), question.config.form_id
    shaped = [replace(one, data=json.dumps(_as_request(form_id, json.loads(one.data))).encode()) for one in page.events]
    return replace(page, events=shaped)


def _as_request(form_id: str, response: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "event_id": response.get("token"),
        "event_type": "form_response",
        "form_response": {"form_id": form_id, **response},
    }


async def _samples(question: kit.Question[Form]) -> Sequence[Any]:
    """Return up to three responses of the form, each in the shape of a webhook request's body.
    https://www.typeform.com/developers/responses/
    """
    form_id = question.config.form_id
    answer = await question.api.get(f"forms/{form_id}/responses", {"page_size": 3})
    return [_as_request(form_id, response) for response in kit.read(Responses, answer).items]


async def _forms(question: kit.Question[Any], search: str, page: str | None) -> kit.OptionPage:
    """Return a page of the account's forms. https://www.typeform.com/developers/create/reference/retrieve-forms/"""
    number = int(page or 1)
    asked = {"page": number, "page_size": 100, **({"search": search} if search else {})}
    forms = kit.read(Forms, await question.api.get("forms", asked))
    options = [kit.Option(one.id, one.title or one.id) for one in forms.items]
    return kit.OptionPage(options, str(number + 1) if number < forms.page_count else None)


provider = kit.Provider(
    id="typeform",
    name="Typeform",
    icon="📝",
    base_url="https://api.typeform.com/",
    auth=kit.Bearer("token"),
    guide="In Typeform, in the settings of your account, make a personal access token that may read responses and "
    "write webhooks.",
    delivery=kit.DeliveryRules(
        answer_within=timedelta(seconds=30),
        retries="It sends a request again for ten hours after 408, 423, 429 and 503, and five times after others.",
        gives_up="It switches off a webhook that fails for long.",
        on_410="It switches the webhook off at once, as after 404, and sends nothing again.",
        source="https://www.typeform.com/developers/webhooks/",
    ),
    labels={"token": "Personal access token"},
    check=lambda api: api.get("me"),
    triggers=(
        kit.Webhook(
            id="on_form_submitted",
            name="Form submitted",
            description="A user filled in a form.",
            instructions="Connect with a personal access token that may read the form's responses and write webhooks.",
            config=Form,
            verify=kit.TYPEFORM,
            subscription=FormWebhook(),
            events=SUBMISSIONS.only("form_response"),
            samples=_samples,
            options={"form_id": _forms},
            key_explained="The token of the response, which Typeform's requests and its list of responses both have.",
            example={
                "event_id": "01HX5ZQ8R0",
                "event_type": "form_response",
                "form_response": {
                    "form_id": "u6nXL7",
                    "token": "9f2c",
                    "submitted_at": "2026-05-01T12:00:00Z",
                    "definition": {
                        "id": "u6nXL7",
                        "fields": [{"id": "f1", "title": "Your name", "type": "short_text"}],
                    },
                    "answers": [{"type": "text", "text": "Ada", "field": {"id": "f1", "type": "short_text"}}],
                },
            },
            sweep=kit.Sweep(poll=_swept),
        ),
    ),
)
