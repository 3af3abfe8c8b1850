"""Rules that every provider file must keep."""

import ast
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from hairtrigger import providers
from hairtrigger.domain.errors import Malformed, Rejected
from hairtrigger.kit.incoming import Request
from hairtrigger.kit.trigger import AppWebhook, ByConfig, Polling, Provider, Trigger, Webhook
from hairtrigger.kit.verify import Verifier
from hairtrigger.providers import CATALOGUE
from tests.providers.asking import NOW, arrived, events, provider, trigger
from tests.providers.recordings import RECORDED, Recorded

TRIGGERS = [(provider, trigger) for provider in CATALOGUE for trigger in provider.triggers]
FILES = sorted(Path(next(iter(providers.__path__))).glob("*.py"))

every_trigger = pytest.mark.parametrize(
    ("provider", "trigger"), TRIGGERS, ids=[f"{provider.id}/{trigger.id}" for provider, trigger in TRIGGERS]
)
every_delivery = pytest.mark.parametrize("recorded", RECORDED, ids=[recorded.id for recorded in RECORDED])


def accepts(verifier: Verifier, request: Request, secrets: Sequence[str]) -> bool:
    try:
        verifier(request, secrets)
    except Rejected:
        return False
    return True


def test_providers_and_their_triggers_are_told_apart_by_their_ids() -> None:
    assert len({provider.id for provider in CATALOGUE}) == len(CATALOGUE)
    assert len({(provider.id, trigger.id) for provider, trigger in TRIGGERS}) == len(TRIGGERS)


def test_every_file_is_in_the_catalogue() -> None:
    assert {file.stem for file in FILES} - {"__init__"} == {provider.id for provider in CATALOGUE}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_provider_file_imports_the_kit_and_nothing_else_of_ours(file: Path) -> None:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    names = [f"{node.module}.{one.name}" for node in nodes if isinstance(node, ast.ImportFrom) for one in node.names]
    names += [one.name for node in nodes if isinstance(node, ast.Import) for one in node.names]
    ours = {name for name in names if name.split(".")[0] == "hairtrigger"}

    others = {f"hairtrigger.providers.{one.stem}" for one in FILES} if file.stem == "__init__" else set()
    assert ours <= {"hairtrigger.kit"} | others


@pytest.mark.parametrize("provider", CATALOGUE, ids=lambda provider: provider.id)
def test_a_provider_has_a_name_and_an_icon(provider: Provider) -> None:
    assert re.fullmatch("[a-z][a-z0-9_]*", provider.id)
    assert provider.name
    assert provider.icon
    assert not provider.base_url or re.fullmatch("https://.+/", provider.base_url)


@every_trigger
def test_a_trigger_says_what_happened(provider: Provider, trigger: Trigger) -> None:
    assert re.fullmatch("on(_[a-z]+)+", trigger.id)
    assert re.fullmatch("[A-Z][A-Za-z ]+", trigger.name)
    assert re.fullmatch(r"[A-Z].+\.", trigger.description)
    assert trigger.instructions is None or trigger.instructions.endswith(".")


@every_trigger
def test_a_trigger_s_form_can_be_drawn_from_its_schema(provider: Provider, trigger: Trigger) -> None:
    schema = json.loads(json.dumps(trigger.config.model_json_schema()))

    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert all(field.title for field in trigger.config.model_fields.values())


@every_trigger
def test_a_setting_nobody_knows_is_refused(provider: Provider, trigger: Trigger) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        trigger.config.model_validate({"frobnicate": True})


@every_trigger
def test_what_is_delivered_has_a_check_and_what_is_polled_needs_a_connection_that_exists(
    provider: Provider, trigger: Trigger
) -> None:
    match trigger:
        case AppWebhook():
            assert provider.app
            assert trigger.requires_verification
        case Webhook(verify=ByConfig() as by_config):
            assert callable(by_config.choose(trigger.config()))
        case Webhook():
            assert callable(trigger.verify)
        case Polling():
            assert provider.fields or not trigger.needs_connection


def test_there_is_a_recorded_delivery_for_every_trigger_that_takes_them() -> None:
    taking = {(provider.id, trigger.id) for provider, trigger in TRIGGERS if isinstance(trigger, Webhook | AppWebhook)}

    assert {(recorded.provider, recorded.trigger) for recorded in RECORDED} == taking


@every_delivery
def test_a_recorded_delivery_becomes_the_events_it_was(recorded: Recorded) -> None:
    request = arrived(recorded.body, recorded.sign(recorded.body, recorded.secret))

    recorded.verifier(request, [recorded.secret])

    assert events(trigger(recorded.provider, recorded.trigger), request, recorded.config) == list(recorded.expected)


@every_delivery
def test_a_recorded_delivery_is_the_same_event_when_it_comes_again(recorded: Recorded) -> None:
    request = arrived(recorded.body, recorded.sign(recorded.body, recorded.secret))
    again = replace(request, received_at=NOW + timedelta(hours=1))
    definition = trigger(recorded.provider, recorded.trigger)

    assert events(definition, request, recorded.config) == events(definition, again, recorded.config)


@every_delivery
@pytest.mark.parametrize("secrets", [[], [""], [" "], ["whsec_"], ["other"]], ids=["none", "", " ", "whsec_", "wrong"])
def test_without_the_right_secret_a_delivery_is_refused(recorded: Recorded, secrets: list[str]) -> None:
    request = arrived(recorded.body, recorded.sign(recorded.body, recorded.secret))

    assert not accepts(recorded.verifier, request, secrets)
    assert not accepts(recorded.verifier, request, [recorded.other_secret])


@every_delivery
def test_a_secret_that_is_being_replaced_is_good_beside_the_new_one(recorded: Recorded) -> None:
    request = arrived(recorded.body, recorded.sign(recorded.body, recorded.secret))

    assert accepts(recorded.verifier, request, [recorded.other_secret, recorded.secret])


@every_delivery
def test_a_delivery_signed_with_nothing_is_refused(recorded: Recorded) -> None:
    assert not accepts(recorded.verifier, arrived(recorded.body), [recorded.secret])
    assert not accepts(
        recorded.verifier,
        arrived(recorded.body, recorded.sign(recorded.body, recorded.other_secret)),
        [recorded.secret],
    )


@pytest.mark.parametrize("recorded", [one for one in RECORDED if one.signs_body], ids=lambda recorded: recorded.id)
def test_an_altered_body_is_refused(recorded: Recorded) -> None:
    body, headers = recorded.body, recorded.sign(recorded.body, recorded.secret)
    altered = [
        body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :] for place in (0, len(body) // 2, -1 % len(body))
    ]

    assert not any(
        accepts(recorded.verifier, arrived(other, headers), [recorded.secret])
        for other in (*altered, b"", body + b" ", body[:-1], body + body)
    )


@every_delivery
def test_a_delivery_from_long_ago_is_refused_where_the_time_is_signed(recorded: Recorded) -> None:
    request = arrived(recorded.body, recorded.sign(recorded.body, recorded.secret))
    late = replace(request, received_at=NOW + timedelta(minutes=6))

    assert accepts(recorded.verifier, late, [recorded.secret]) is not recorded.timed


@pytest.mark.parametrize(
    "recorded",
    [one for one in RECORDED if one.provider in {"stripe", "typeform", "slack"}],
    ids=lambda recorded: recorded.id,
)
def test_an_event_whose_id_is_empty_is_not_taken_for_every_other_such_event(recorded: Recorded) -> None:
    (draft,) = recorded.expected
    body = recorded.body.replace(f'"{draft.key}"'.encode(), b'""')

    with pytest.raises(Malformed, match="id is missing or of the wrong type"):
        events(trigger(recorded.provider, recorded.trigger), arrived(body), recorded.config)


@every_delivery
@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b"\xff", b'{"id": "\\ud800"}', b"[" * 10_000])
def test_what_the_provider_would_not_have_sent_is_malformed_or_no_event(recorded: Recorded, body: bytes) -> None:
    request = arrived(body, recorded.sign(body, recorded.secret))
    found: list[object] = []
    with suppress(Malformed):
        found += events(trigger(recorded.provider, recorded.trigger), request, recorded.config)
    if app := provider(recorded.provider).app:
        with suppress(Malformed):
            found += app.accounts(request)

    assert not found or recorded.trigger == "on_request"
