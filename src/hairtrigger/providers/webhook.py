"""A webhook for every sender that can send a request and prove that it knows a secret."""

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from hairtrigger import kit

_NAME = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # the name of a header, https://www.rfc-editor.org/rfc/rfc9110#name-tokens
_HEADER = "header:"
_OF_HMAC = ("algorithm", "encoding", "timestamp_header", "timestamp_unit", "tolerance", "signed")
_WITHOUT = {"token": {*_OF_HMAC}, "standard_webhooks": {"header", "prefix", *_OF_HMAC}}


class Sender(kit.Config):
    """The proof that the sender gives with each request, and the place of its events' ids."""

    model_config = ConfigDict(str_max_length=1000)  # the configuration is read for each request

    scheme: Literal["token", "hmac", "standard_webhooks"] = Field(
        default="token",
        title="Scheme",
        description="token: the secret itself in a header. hmac: a signature of the body. "
        "standard_webhooks: as https://www.standardwebhooks.com says.",
    )
    header: str | None = Field(
        default=None,
        validate_default=True,
        pattern=f"^{_NAME}$",
        title="Header",
        description="Where the token (default: X-Webhook-Secret) or the signature is.",
    )
    prefix: str = Field(
        default="", title="Prefix", description="What stands before the token or signature, such as 'sha256='."
    )
    algorithm: Literal["sha256", "sha1", "sha512"] = Field(default="sha256", title="Algorithm")
    encoding: Literal["hex", "base64"] = Field(default="hex", title="Encoding")
    timestamp_header: str | None = Field(
        default=None, pattern=f"^{_NAME}$", title="Time header", description="Where the time is that is signed too."
    )
    timestamp_unit: Literal["s", "ms", "iso"] = Field(
        default="s", title="Time unit", description="Seconds or milliseconds since 1970, or ISO 8601."
    )
    tolerance: int = Field(
        default=300, ge=1, le=86_400, title="Tolerance", description="How many seconds that time may be from ours."
    )
    signed: str = Field(
        default="{body}",
        validate_default=True,
        title="Signed text",
        description="What the signature is of: {body}, with {timestamp}, {url} or {method} around it where they are.",
        examples=["{timestamp}.{body}"],
    )
    event_id: str | None = Field(
        default=None,
        pattern=f"^(/.*|{_HEADER}{_NAME})$",
        title="Event id",
        description="Where an event's own id is, so that a repeat is known: a JSON pointer into the body, such as /id, "
        "or header:<name>, where the scheme is token.",
        examples=["/id", "header:X-Event-Id"],
    )

    @field_validator("header", "prefix", *_OF_HMAC)
    @classmethod
    def _means_something(cls, value: Any, given: ValidationInfo) -> Any:
        """Refuse a setting without effect. Defaults pass, because a form also sends fields that are left empty."""
        name, scheme = str(given.field_name), given.data.get("scheme")
        if value != cls.model_fields[name].default and scheme in _WITHOUT and name in _WITHOUT[scheme]:
            raise ValueError(f"The scheme {scheme} has no such setting.")
        return value

    @field_validator("header")
    @classmethod
    def _is_there_for_hmac(cls, header: str | None, given: ValidationInfo) -> str | None:
        if header is None and given.data.get("scheme") == "hmac":
            raise ValueError("The scheme hmac needs the name of the header that holds the signature.")
        return header

    @field_validator("signed")
    @classmethod
    def _can_be_signed(cls, signed: str, given: ValidationInfo) -> str:
        settings = {**given.data, "signed": signed}
        if settings.get("scheme") == "hmac" and settings.keys() >= {"header", "prefix", *_OF_HMAC}:
            _hmac(settings)
        return signed

    @field_validator("event_id")
    @classmethod
    def _is_vouched_for(cls, event_id: str | None, given: ValidationInfo) -> str | None:
        if event_id and event_id.startswith(_HEADER) and given.data.get("scheme") in {"hmac", "standard_webhooks"}:
            raise ValueError("This scheme does not sign that header: anybody could make a repeat look new.")
        return event_id


def _verifier(sender: Sender) -> kit.Verifier:
    match sender.scheme:
        case "token":
            return kit.Token(sender.header or "X-Webhook-Secret", prefix=sender.prefix)
        case "hmac":
            return _hmac(dict(sender))
        case "standard_webhooks":
            return kit.STANDARD_WEBHOOKS


def _hmac(given: Mapping[str, Any]) -> kit.Hmac:
    """Return the verifier. Raises `ValueError` if the signed text leaves out a part that must be signed."""
    header = given["timestamp_header"]
    tolerance = timedelta(seconds=given["tolerance"])
    return kit.Hmac(
        given["header"],
        algorithm=given["algorithm"],
        encoding=given["encoding"],
        prefix=given["prefix"],
        message=given["signed"],
        timestamp=kit.Timestamp(header, unit=given["timestamp_unit"], tolerance=tolerance) if header else None,
    )


def _events(incoming: kit.Incoming[Sender]) -> Iterable[kit.Draft]:
    request = incoming.request
    yield kit.Draft(key=_key(incoming), data=request.body, content_type=request.headers.get("content-type", ""))


def _key(incoming: kit.Incoming[Sender]) -> str:
    sender, request = incoming.config, incoming.request
    if sender.event_id:
        return _event_id(incoming, sender.event_id)
    if sender.scheme == "hmac":
        return kit.digest(request.body)
    # Without an id, two requests with the same body are two events: "the door was opened".
    return (
        request.headers.get("webhook-id")
        or request.headers.get("idempotency-key")
        or str(kit.new_id(request.received_at))
    )


def _event_id(incoming: kit.Incoming[Sender], where: str) -> str:
    if where.startswith(_HEADER):
        found: object = incoming.request.headers.get(where.removeprefix(_HEADER))
    else:
        found = _at(incoming.json(), where)
    if isinstance(found, bool) or not isinstance(found, str | int) or found == "":
        raise kit.Malformed(f"There is no event id at {where}: no text or whole number.")
    return str(found)


def _at(value: Any, pointer: str) -> Any:
    """Return the value at a JSON pointer (https://www.rfc-editor.org/rfc/rfc6901), or None if there is none."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        match value:
            case dict():
                value = value.get(name)
            case list() if re.fullmatch("0|[1-9][0-9]{0,8}", name) and int(name) < len(value):
                value = value[int(name)]
            case _:
                return None
    return value


provider = kit.Provider(
    id="webhook",
    name="Webhook",
    icon="🪝",
    triggers=(
        kit.Webhook(
            id="on_request",
            name="Request received",
            description="A request came to the trigger's own URL, from whatever can send one and knows its secret.",
            instructions="Set the trigger's secret, enable the trigger, then give the URL in its webhook_data and the "
            "secret to the sender. What comes without proof of the secret is refused.",
            config=Sender,
            verify=kit.ByConfig(_verifier),
            events=_events,
        ),
    ),
)
