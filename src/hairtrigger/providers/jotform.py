"""Defines the provider Jotform. Each trigger has a webhook of its own on a form. Jotform signs nothing, so the URL that
is registered holds a secret.

The key is the submission's id. A webhook is identified by its place in a list that changes with each removal, so the
list is read before each removal. https://api.jotform.com/docs/#form-id-webhooks

It is unconfirmed whether an edited submission is sent again. If so, it is a repeat.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from pydantic import Field
from pydantic_core import to_json

from hairtrigger import kit


class Form(kit.Config):
    form_id: str = Field(
        pattern="^[0-9]{10,20}$",
        title="Form",
        description="The form's id: the number in its address.",
        examples=["241234567890123"],
    )


class Webhooks(kit.Payload):
    content: Mapping[str, str] | list[Any]


class FormWebhook:
    """The subscription to the submissions of a form. https://api.jotform.com/docs/#post-form-id-webhooks"""

    async def create(self, question: kit.Question[Form], url: str, secret: str) -> kit.Registration:
        await self.remove(question, url)
        form = [("webhookURL", f"{url}?{urlencode({'token': secret})}")]
        await question.api.post_form(_path(question), form)
        return kit.Registration({"form_id": question.config.form_id}, secret)

    async def remove(self, question: kit.Question[Form], url: str) -> None:
        try:
            while (place := await self._place(question, url)) is not None:
                await question.api.delete(f"{_path(question)}/{place}")
        except kit.MissingAtProvider:
            return  # the form is gone, and its webhooks with it

    async def _place(self, question: kit.Question[Form], url: str) -> str | None:
        listed = kit.read(Webhooks, await question.api.get(_path(question))).content
        places = listed.items() if isinstance(listed, Mapping) else ()  # an empty list if there is none
        return next((place for place, address in places if address.partition("?")[0].rstrip("/") == url), None)


def _path(question: kit.Question[Form]) -> str:
    return f"form/{question.config.form_id}/webhooks"


def _submitted(incoming: kit.Incoming[Form]) -> Iterable[kit.Draft]:
    form = incoming.content.value
    id_ = form.get("submissionID") if isinstance(form, dict) else None
    if not isinstance(id_, str) or not id_ or form.get("formID") != incoming.config.form_id:
        raise kit.Malformed("The body is no submission of the form: submissionID or formID is missing.")
    try:
        answers = json.loads(form.get("rawRequest") or "{}")
    except (ValueError, TypeError, RecursionError):
        answers = None  # the answers stay in `rawRequest`
    yield kit.Draft(key=id_, data=to_json({**form, "answers": answers}), subject=id_)


async def _samples(question: kit.Question[Form]) -> Any:
    path = f"form/{question.config.form_id}/submissions"
    return kit.items_at(await question.api.get(path, {"limit": 3, "orderby": "created_at"}), "/content")


provider = kit.Provider(
    id="jotform",
    name="Jotform",
    icon="🧾",
    base_url="https://{host}/",
    auth=kit.KeyHeader("apikey", "api_key"),
    guide="In Jotform, under Settings, API, make a key with full access. The host is api.jotform.com, for accounts in "
    "Europe eu-api.jotform.com, and hipaa-api.jotform.com for accounts under HIPAA.",
    labels={"host": "API host", "api_key": "API key"},
    check=lambda api: api.get("user"),
    triggers=(
        kit.Webhook(
            id="on_form_submitted",
            name="Form submitted",
            description="A form was submitted.",
            config=Form,
            verify=kit.Token(query="token"),
            subscription=FormWebhook(),
            events=_submitted,
            samples=_samples,
        ),
    ),
)
