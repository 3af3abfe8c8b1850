"""No secret stands in the `repr` of a record or model of ours: a `repr` ends in logs, tracebacks and failed asserts."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

import hairtrigger
from hairtrigger.domain.integration import InputField
from hairtrigger.services.secrets import SigningSecret
from hairtrigger.services.setup.integrations import config_model

_MAY_BE_SECRET = re.compile(
    r"secret|password|api_?key|token|credential|signing|authorization|hash|hidden|headers$|inputs$|params$|^key$|^value$"
)
_NOT_SECRET = {
    # the public part of an OAuth client, and the code that its author writes for it
    *(
        (name, field)
        for name in ("OAuthClientBody", "OAuthClientAnswer", "OAuthClient")
        for field in ("token_url", "authorization_code", "access_token_code", "refresh_token_code")
    ),
    # names of secrets, or parts of the service
    *((name, "secrets") for name in ("NoAuth", "Parts", "DryRuns", "ProviderCalls", "Connections")),
    *((name, "secrets") for name in ("Projects", "Triggers", "WebhookRemovals", "AlertSender", "AlertChannels")),
    *((name, "secrets") for name in ("ToldTokens", "Subscriptions")),
    *((name, "secrets") for name in ("AccessTokens", "OAuthClients", "Authorizations", "ConnectLinks")),
    *((name, "tokens") for name in ("ProviderCalls", "Authorizations", "RenewingHttp")),
    ("Services", "tokens"),
    *((name, "authorizations") for name in ("Services", "ConnectLinks")),
    *((name, "authorization") for name in ("Started", "Ended")),  # a record of our own, whose secrets are not shown
    *((name, "secret") for name in ("Bearer", "KeyHeader", "KeyParameter")),
    ("UserAndPassword", "password"),
    # of a fake, whose secrets open nothing
    ("Fault", "headers"),
    ("Hook", "secret"),
    *(
        (name, "token_url")
        for name in ("TokenAuth", "OAuth2", "ClientCredentials", "ServiceAccount", "AppInstallation")
    ),
    # numbers, and whether a claim is asked for
    *((name, "api_keys") for name in ("Deleted", "Contents")),
    *(("Settings", f"quota_{name}") for name in ("api_keys", "secrets_per_connection")),
    *(("Limits", name) for name in ("api_keys", "secrets_per_connection")),
    ("WebToken", "query_hash"),
    ("Accounts", "hashing"),
    # keys of events, an option of a SELECT, the place where a list goes on
    *((name, "key") for name in ("FoundEvent", "Event", "EventDetail", "Draft", "Outcome", "EventTrace", "Found")),
    *((name, "key") for name in ("Fields", "Recorded")),
    *((name, "key") for name in ("Hmac", "PublicKey", "Sender")),  # how it is written
    ("Webhook", "verify_token"),  # a function that finds it
    ("Option", "value"),
    ("FieldOption", "value"),
    ("Look", "token"),
    ("Token", "token_type"),
    ("Step", "value"),  # of a seccomp filter
    ("Outcome", "value"),  # what a user's code returned
    ("Envelope", "authorizations"),
    ("Request", "headers"),  # `Headers` shows only their names
    # shown to their user with every secret masked
    ("HttpHeader", "value"),
    *((name, f"{way}_headers") for name in ("HttpExchange", "Exchange") for way in ("request", "response")),
}


def _classes() -> Iterator[type]:
    for module in pkgutil.walk_packages(hairtrigger.__path__, "hairtrigger."):
        if "migrations" not in module.name and not module.name.endswith("__main__"):
            loaded = importlib.import_module(module.name)
            yield from (one for one in vars(loaded).values() if isinstance(one, type) and one.__module__ == module.name)


def _shown(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield the fields that the class's `repr` shows, with their types."""
    if is_dataclass(kind):
        yield from ((one.name, one.type) for one in fields(kind) if one.repr)
    elif issubclass(kind, BaseModel):
        yield from ((name, one.annotation) for name, one in kind.model_fields.items() if one.repr)
    elif issubclass(kind, tuple):
        yield from ((name, None) for name in getattr(kind, "_fields", ()))


def test_no_record_or_model_shows_a_field_that_may_hold_a_secret() -> None:
    shown = {
        (kind.__name__, name)
        for kind in _classes()
        for name, type_ in _shown(kind)
        if _MAY_BE_SECRET.search(name) and SecretStr.__name__ not in str(type_)
    }

    assert shown - _NOT_SECRET == set()
    assert _NOT_SECRET - shown == set(), "these are not shown, or are no more"


def test_a_signing_secret_is_not_shown() -> None:
    assert "whsec_" not in repr([SigningSecret("whsec_1")])


@pytest.mark.parametrize("given", [{"code_word": "s3cr3t"}, {"code_word": "s3cr3t", "other": 1}])
def test_an_input_that_is_a_password_is_shown_neither_by_its_configuration_nor_by_what_is_wrong_with_it(
    given: dict[str, Any],
) -> None:
    model = config_model((InputField(slug="code_word", label="Code word", type="PASSWORD"),))

    try:
        shown = repr(model.model_validate(given))
    except ValidationError as error:
        shown = str(error) + repr(error)

    assert "s3cr3t" not in shown
