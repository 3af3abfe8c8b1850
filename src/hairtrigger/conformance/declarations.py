"""Rules for what a provider file declares, which need no fake."""

import json
import re

from pydantic import ValidationError

from hairtrigger.conformance.subjects import Subject, require
from hairtrigger.kit.trigger import AppWebhook, ByConfig, Polling, Trigger, Webhook


def has_a_name_and_an_icon(subject: Subject) -> None:
    provider = subject.provider
    require(re.fullmatch("[a-z][a-z0-9_]*", provider.id), f"The id '{provider.id}' is not in lower case.")
    require(provider.name, f"'{provider.id}' has no name.")
    require(provider.icon, f"'{provider.id}' has no icon.")
    require(
        not provider.base_url or re.fullmatch("https://.+/", provider.base_url),
        f"The address '{provider.base_url}' does not begin with https:// and end with a slash.",
    )
    ids = [one.id for one in provider.triggers]
    require(len(ids) == len(set(ids)), f"Two triggers of '{provider.id}' have the same id.")
    require(ids, f"'{provider.id}' has no trigger.")


def says_what_happened(_: Subject, trigger: Trigger) -> None:
    require(re.fullmatch("on(_[a-z0-9]+)+", trigger.id), f"The id '{trigger.id}' is not written as on_thing_happened.")
    require(re.fullmatch("[A-Z][A-Za-z0-9 ]+", trigger.name), f"The name '{trigger.name}' is not written as a name.")
    require(
        re.fullmatch(r"[A-Z].+\.", trigger.description), f"The description of '{trigger.id}' is not a full sentence."
    )
    require(
        trigger.instructions is None or trigger.instructions.endswith("."),
        f"The instructions of '{trigger.id}' do not end with a full stop.",
    )


def has_a_form(_: Subject, trigger: Trigger) -> None:
    schema = json.loads(json.dumps(trigger.config.model_json_schema()))
    require(schema["type"] == "object", f"The configuration of '{trigger.id}' is no object.")
    require(schema["additionalProperties"] is False, f"The configuration of '{trigger.id}' takes unknown fields.")
    untitled = [name for name, field in trigger.config.model_fields.items() if not field.title]
    require(not untitled, f"The fields {untitled} of '{trigger.id}' have no title.")


def refuses_an_unknown_field(_: Subject, trigger: Trigger) -> None:
    try:
        trigger.config.model_validate({"frobnicate": True})
    except ValidationError as error:
        kinds = {one["type"] for one in error.errors() if one["loc"] == ("frobnicate",)}
        require(kinds == {"extra_forbidden"}, f"'{trigger.id}' refuses an unknown field for another reason.")
    else:
        require(False, f"'{trigger.id}' takes an unknown field.")


def has_what_its_kind_needs(subject: Subject, trigger: Trigger) -> None:
    provider = subject.provider
    match trigger:
        case AppWebhook():
            require(provider.app, f"'{trigger.id}' belongs to an app, and '{provider.id}' has none.")
            require(trigger.requires_verification, f"'{trigger.id}' does not say that its app must be installed.")
        case Webhook(verify=ByConfig()):
            pass  # a request that is recorded shows which verifier is chosen
        case Webhook():
            require(callable(trigger.verify), f"'{trigger.id}' has no verifier.")
        case Polling():
            require(
                provider.fields or not trigger.needs_connection,
                f"'{trigger.id}' needs a connection, and '{provider.id}' has no credentials.",
            )
            require(
                "polling_frequency" in trigger.config.model_fields,
                f"The configuration of '{trigger.id}' is no PollingConfig, so users can't choose how often it polls.",
            )


def has_a_recorded_request_for_each_trigger(subject: Subject) -> None:
    recorded = {one.trigger for one in subject.recorded}
    missing = [one.id for one in subject.pushed if one.id not in recorded]
    require(not missing, f"No request is recorded for {', '.join(missing)} of '{subject.provider.id}'.")


OF_PROVIDERS = (has_a_name_and_an_icon, has_a_recorded_request_for_each_trigger)
OF_TRIGGERS = (
    says_what_happened,
    has_a_form,
    refuses_an_unknown_field,
    has_what_its_kind_needs,
)
