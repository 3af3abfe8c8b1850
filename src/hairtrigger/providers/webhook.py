"""Defines the provider for any sender that can send a request and prove that it knows a secret."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from hairtrigger import kit

_WHERE = rf"^(?:header:{kit.NAME}|query:\S+|/.*)$"
_HEADER = f"^{kit.NAME}$"
_HEADER_OR_POINTER = f"^({kit.NAME}|/.*)$"

# The settings that describe how the sender proves itself, and those that each scheme has.
_COMMON = {"header", "prefix", "separator", "algorithm", "encoding", "key", "key_prefix", "id_header"}
_TIME = {"timestamp_header", "timestamp_prefix", "timestamp_unit", "tolerance"}
_SIGNED = {*_COMMON, *_TIME, "signed", "body_digest", "sender_url"}
_SETTINGS: Mapping[str, set[str]] = {
    "token": {"header", "query", "pointer", "prefix"},
    "basic": set(),
    "hmac": _SIGNED,
    "public_key": _SIGNED,
    "standard_webhooks": {"tolerance"},
    "svix": {"tolerance"},
    "jwt": {"header", "prefix", "algorithm", "issuer", "body_claim"},
}
_OF_SCHEMES = ("header", "query", "pointer", "issuer", "body_claim", "other_header", *sorted(_SIGNED - {"header"}))
_UNSIGNED = (kit.Token, kit.Basic)
_TOLERANCE = 300  # seconds


class Question(kit.Config):
    """A question that the sender asks when it is given the URL, and the answer to it."""

    model_config = ConfigDict(str_max_length=1000)

    method: Literal["GET", "HEAD", "OPTIONS", "POST"]
    when: dict[str, str | None] = Field(
        default={},
        max_length=5,
        description="The places that a request must hold, each with the text there, or null for any text.",
        examples=[{"query:challenge": None}, {"/type": "url_verification"}],
    )
    signed: bool = Field(default=False, description="Whether it must be signed as events are.")
    proof: str | None = Field(default=None, pattern=_WHERE, description="Where the verify token is.")
    text: str = Field(default="", examples=["{query:challenge}"], description="The answer. {place} is filled in.")
    json_answer: dict[str, str] | None = Field(
        default=None,
        max_length=10,
        description="The answer as JSON in place of text. {hex:place} and {base64:place} stand for an HMAC-SHA256.",
        examples=[{"plainToken": "{/payload/plainToken}", "encryptedToken": "{hex:/payload/plainToken}"}],
    )
    headers: dict[str, str] = Field(
        default={}, repr=False, max_length=5, examples=[{"X-Hook-Secret": "{header:X-Hook-Secret}"}]
    )
    status: int = Field(default=200, ge=200, le=299)
    tells: str | None = Field(
        default=None,
        pattern=_WHERE,
        description="Where a secret is that the sender tells with the question, such as a verification token.",
    )

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        if not all(kit.is_place(place) for place in self.when):
            raise ValueError("A place is header:<name>, query:<name> or a JSON pointer, such as /type.")
        if not all(kit.is_header(name) for name in self.headers):
            raise ValueError("These are no names of headers.")
        if self.method == "POST" and not self.signed and not self.when:
            raise ValueError("A question that is not signed needs a place by which it is told from events.")
        self.handshake()
        return self

    def handshake(self) -> kit.Handshake:
        return kit.Handshake(
            self.method,
            when=self.when,
            signed=self.signed,
            proof=self.proof,
            text=self.text,
            json=self.json_answer,
            headers=self.headers,
            status=self.status,
            tells=self.tells,
        )


class Sender(kit.Config):
    """The configuration of a webhook: how its sender proves itself, and where a request has its event's id and type."""

    model_config = ConfigDict(str_max_length=1000)  # the configuration is read for each request

    sender: str | None = Field(
        default=None,
        title="Sender",
        description="A known sender. How it proves itself, its event ids, its types and its handshake are set then.",
        json_schema_extra={"enum": [*sorted(kit.SENDERS), None]},
    )
    scheme: Literal["token", "basic", "hmac", "public_key", "standard_webhooks", "svix", "jwt"] = Field(
        default="token",
        validate_default=True,
        title="Scheme",
        description="token: the secret itself. basic: user:password. hmac: a keyed digest. public_key: a signature "
        "whose public key is the secret. standard_webhooks: as https://www.standardwebhooks.com says. svix: the same "
        "under its older names. jwt: a signed token.",
    )
    header: str | None = Field(
        default=None,
        validate_default=True,
        pattern=_HEADER_OR_POINTER,
        title="Header",
        description="Where the token (default: X-Webhook-Secret) or the signature is. For a signature, it may also be "
        "a JSON pointer into the body.",
    )
    query: str | None = Field(
        default=None, min_length=1, title="Query", description="The parameter of the URL that holds the token."
    )
    pointer: str | None = Field(
        default=None, pattern="^/.*$", title="Pointer", description="Where in the body the token is.", examples=["/key"]
    )
    prefix: str = Field(
        default="", title="Prefix", description="What stands before the token or signature, such as 'sha256='."
    )
    separator: str | None = Field(
        default=None,
        min_length=1,
        max_length=3,
        title="Separator",
        description="What divides the elements of a header with several, such as the comma in t=…,v1=….",
    )
    algorithm: Literal["sha256", "sha1", "sha512", "ed25519", "ecdsa_p256", "rsa_sha256"] = Field(
        default="sha256", title="Algorithm", description="The last three are for the scheme public_key."
    )
    encoding: Literal["hex", "base64"] = Field(default="hex", title="Encoding")
    key: Literal["utf8", "base64", "hex"] = Field(
        default="utf8", title="Key", description="How the secret is written: as the key itself, or encoded."
    )
    key_prefix: str = Field(
        default="", title="Key prefix", description="The beginning of the secret that is no part of the key."
    )
    id_header: str | None = Field(
        default=None, pattern=_HEADER, title="Id header", description="Where the event's id is that is signed too."
    )
    timestamp_header: str | None = Field(
        default=None,
        pattern=_HEADER_OR_POINTER,
        title="Time header",
        description="Where the time is that is signed too: a header, or a JSON pointer into a signed body.",
    )
    timestamp_prefix: str = Field(
        default="",
        title="Time prefix",
        description="What stands before the time. Without a time header, the time is an element of the signature's "
        "header: t=.",
    )
    timestamp_unit: Literal["s", "ms", "iso"] = Field(
        default="s", title="Time unit", description="Seconds or milliseconds since 1970, or ISO 8601."
    )
    tolerance: int | None = Field(
        default=None,
        ge=1,
        le=86_400,
        title="Tolerance",
        description="How many seconds that time may be from ours. Default: what a known sender advises, else 300.",
    )
    body_digest: str | None = Field(
        default=None,
        pattern=_WHERE,
        title="Digest of the body",
        description="Where the signed URL holds the SHA-256 of the body, if the signature is of the URL alone.",
    )
    sender_url: str | None = Field(
        default=None,
        pattern="^https?://",
        title="URL as the sender knows it",
        description="For signatures of the URL, if the sender sends to another URL than this service's.",
    )
    issuer: str | None = Field(default=None, title="Issuer", description="The claim iss that a token must have.")
    body_claim: str | None = Field(
        default=None, title="Claim of the body", description="The claim that holds the SHA-256 of the body in hex."
    )
    signed: str = Field(
        default="{body}",
        validate_default=True,
        title="Signed text",
        description="What the signature is of: {body}, with {timestamp}, {id}, {url} or {method} around it where they "
        "are. {form} stands for the sorted names and values of a form.",
        examples=["{timestamp}.{body}"],
    )
    event_id: str | None = Field(
        default=None,
        pattern=_WHERE,
        title="Event id",
        description="Where an event's own id is, so that a repeat is known: a JSON pointer into the body, such as /id, "
        "or header:<name>, where nothing is signed.",
        examples=["/id", "header:X-Event-Id"],
    )
    event_type: str | None = Field(
        default=None,
        pattern=_WHERE,
        title="Event type",
        description="Where the type of the event is: a JSON pointer into the body or header:<name>.",
        examples=["/type", "header:X-Shopify-Topic"],
    )
    repeats: Literal["by_content", "by_time", "never"] | None = Field(
        default=None,
        validate_default=True,
        title="Repeats",
        description="When a request counts as a repeat, which starts nothing. by_content: with the id of an earlier "
        "one, or without an id, with its signed content. by_time: if the signed time is the same, too. never: only "
        "with its id. Default: by_content, or never where nothing is signed.",
    )
    data: Literal["read", "raw"] | None = Field(
        default=None,
        title="Data",
        description="read (the default of new triggers): forms become objects, compressed bodies are decompressed, "
        "texts become UTF-8, and the request's method, headers and query are kept. raw: the body as it came, and "
        "nothing else.",
    )
    methods: tuple[Literal["GET", "POST", "PUT", "PATCH", "DELETE"], ...] = Field(
        default=("POST", "PUT", "PATCH", "DELETE"),
        min_length=1,
        max_length=5,
        title="Methods",
        description="The methods of requests that are events.",
    )
    handshake: str | None = Field(
        default=None,
        title="Handshake",
        description="The known question that the sender asks when it is given the URL.",
        json_schema_extra={"enum": [*sorted(kit.HANDSHAKES), None]},
    )
    handshakes: tuple[Question, ...] = Field(
        default=(), max_length=5, title="Own handshakes", description="Other questions, and the answers to them."
    )
    verify_token: str | None = Field(
        default=None,
        repr=False,
        min_length=1,
        title="Verify token",
        description="The text by which a handshake is known to be for this trigger. Default: the secret.",
    )

    @field_validator("sender")
    @classmethod
    def _is_known(cls, sender: str | None) -> str | None:
        if sender is not None and sender not in kit.SENDERS:
            raise ValueError(f"The known senders are {', '.join(sorted(kit.SENDERS))}.")
        return sender

    @field_validator("handshake")
    @classmethod
    def _can_be_answered(cls, name: str | None) -> str | None:
        if name is not None and name not in kit.HANDSHAKES:
            raise ValueError(f"The known handshakes are {', '.join(sorted(kit.HANDSHAKES))}.")
        return name

    @field_validator("scheme", *(name for name in _OF_SCHEMES if name != "other_header"))
    @classmethod
    def _means_something(cls, value: Any, given: ValidationInfo) -> Any:
        """Return the value. Raises `ValueError` for a setting that has no effect with this sender or scheme.

        A default value never raises the error, because a form also sends fields that are left empty.
        """
        name, scheme = str(given.field_name), str(given.data.get("scheme"))
        if value == cls.model_fields[name].default or (name, value) == ("tolerance", _TOLERANCE):
            return value
        if (sender := given.data.get("sender")) and name not in _settings_of(kit.SENDERS[sender].verify):
            raise ValueError(f"The sender {sender} has no such setting.")
        if not sender and name != "scheme" and scheme in _SETTINGS and name not in _SETTINGS[scheme]:
            raise ValueError(f"The scheme {scheme} has no such setting.")
        return value

    @field_validator("header")
    @classmethod
    def _is_there_for_signatures(cls, header: str | None, given: ValidationInfo) -> str | None:
        scheme = given.data.get("scheme")
        if header is None and scheme in {"hmac", "public_key", "jwt"}:
            raise ValueError(f"The scheme {scheme} needs the name of the header that holds the signature.")
        if header and header.startswith("/") and scheme in {"token", "jwt"}:
            raise ValueError("This is no name of a header.")
        return header

    @field_validator("signed")
    @classmethod
    def _can_be_signed(cls, signed: str, given: ValidationInfo) -> str:
        settings = {**given.data, "signed": signed}
        if not settings.get("sender") and settings.keys() >= {
            "scheme",
            "query",
            "pointer",
            "issuer",
            "body_claim",
            *_SIGNED,
        }:
            _verifier_of(settings)
        return signed

    @field_validator("event_id")
    @classmethod
    def _is_vouched_for(cls, event_id: str | None, given: ValidationInfo) -> str | None:
        known = kit.SENDERS.get(given.data.get("sender") or "")
        unsigned = isinstance(known.verify, _UNSIGNED) if known else given.data.get("scheme") in {"token", "basic"}
        if event_id and not event_id.startswith("/") and not unsigned:
            raise ValueError("This scheme does not sign that place: anybody could make a repeat look new.")
        return event_id

    @field_validator("repeats")
    @classmethod
    def _has_a_time(cls, repeats: str | None, given: ValidationInfo) -> str | None:
        known = kit.SENDERS.get(given.data.get("sender") or "")
        timed = (
            known.verify.is_timed
            if known
            else bool(given.data.get("timestamp_header") or given.data.get("timestamp_prefix"))
            or given.data.get("scheme") in {"standard_webhooks", "svix"}
        )
        if repeats == "by_time" and not timed:
            raise ValueError("This sender signs no time.")
        return repeats

    @cached_property
    def known(self) -> kit.KnownSender | None:
        return kit.SENDERS[self.sender] if self.sender else None

    @cached_property
    def verifier(self) -> kit.Scheme:
        return _adjusted(self.known.verify, self) if self.known else _verifier_of(dict(self))

    @cached_property
    def asked(self) -> tuple[kit.Handshake, ...]:
        """Return the handshakes that are answered, which are those of the known sender, those that the user chose, and
        two that every sender may ask.
        """
        known = self.known.handshakes if self.known else ()
        named = (kit.HANDSHAKES[self.handshake],) if self.handshake else ()
        return (*known, *named, *(one.handshake() for one in self.handshakes), kit.HEAD_CHECK, kit.CLOUDEVENTS_ORIGIN)

    @cached_property
    def counts_as_repeat(self) -> Literal["by_content", "by_time", "never"]:
        if self.repeats:
            return self.repeats
        if self.known and self.signs:
            return self.known.repeats
        return "by_content" if self.signs else "never"

    @cached_property
    def type_place(self) -> str | None:
        return self.event_type or (self.known.event_type if self.known else None)

    @cached_property
    def id_place(self) -> str | None:
        return self.event_id or (self.known.event_id if self.known else None)

    @cached_property
    def signs(self) -> bool:
        return not isinstance(self.verifier, _UNSIGNED)

    @cached_property
    def reads(self) -> frozenset[str]:
        return self.verifier.reads


def _settings_of(verifier: kit.Scheme) -> set[str]:
    """Return the names of the settings that a user may change for a known sender with this verifier."""
    url = {"sender_url"} if isinstance(verifier, kit.Signature) and "{url}" in verifier.message else set()
    return url | ({"tolerance"} if verifier.is_timed else set())


def _adjusted(verifier: kit.Scheme, sender: Sender) -> kit.Scheme:
    tolerance = timedelta(seconds=sender.tolerance) if sender.tolerance else None
    match verifier:
        case kit.Signature(timestamp=timestamp):
            timed = replace(timestamp, tolerance=tolerance) if timestamp and tolerance else timestamp
            return replace(verifier, timestamp=timed, url=sender.sender_url)
        case kit.Sns():
            return replace(verifier, tolerance=tolerance or verifier.tolerance)
        case _:
            return verifier


def _verifier_of(given: Mapping[str, Any]) -> kit.Scheme:
    """Return the verifier of a scheme. Raises `ValueError` if the settings lack a part that the scheme needs."""
    tolerance = timedelta(seconds=given["tolerance"] or _TOLERANCE)
    match given["scheme"]:
        case "token":
            header = None if given["query"] or given["pointer"] else given["header"] or "X-Webhook-Secret"
            if given["header"] and not header:
                raise ValueError("A token is either in a header, in the query or in the body.")
            return kit.Token(header, query=given["query"], pointer=given["pointer"], prefix=given["prefix"])
        case "basic":
            return kit.Basic()
        case "hmac":
            return _hmac(given)
        case "public_key":
            return _public_key(given)
        case "jwt":
            return _web_token(given)
        case scheme:
            known = kit.SVIX if scheme == "svix" else kit.STANDARD_WEBHOOKS
            assert known.timestamp
            return replace(known, timestamp=replace(known.timestamp, tolerance=tolerance))


def _hmac(given: Mapping[str, Any]) -> kit.Scheme:
    if given["algorithm"] not in {"sha1", "sha256", "sha512"}:
        raise ValueError("The scheme hmac has the algorithms sha256, sha1 and sha512.")
    return kit.Hmac(algorithm=given["algorithm"], key=given["key"], **_signature(given))


def _public_key(given: Mapping[str, Any]) -> kit.Scheme:
    if given["algorithm"] not in {"ed25519", "ecdsa_p256", "rsa_sha256"}:
        raise ValueError("The scheme public_key has the algorithms ed25519, ecdsa_p256 and rsa_sha256.")
    key: Literal["hex", "base64"] = "hex" if given["key"] == "hex" else "base64"
    return kit.PublicKey(algorithm=given["algorithm"], key=key, **_signature(given))


def _web_token(given: Mapping[str, Any]) -> kit.Scheme:
    algorithms: dict[str, Literal["HS256", "HS512"]] = {"sha256": "HS256", "sha512": "HS512"}
    if given["algorithm"] not in algorithms:
        raise ValueError("The scheme jwt has the algorithms sha256 and sha512.")
    return kit.WebToken(
        given["header"],
        prefixes=(given["prefix"],),
        algorithm=algorithms[given["algorithm"]],
        issuer=given["issuer"],
        body_claim=given["body_claim"],
        expires=not given["body_claim"],  # a token that is bound to nothing else must at least end
    )


def _signature(given: Mapping[str, Any]) -> dict[str, Any]:
    header, prefix = given["timestamp_header"], given["timestamp_prefix"]
    timestamp = kit.Timestamp(
        header,
        prefix=prefix,
        unit=given["timestamp_unit"],
        tolerance=timedelta(seconds=given["tolerance"] or _TOLERANCE),
    )
    return {
        "header": given["header"],
        "encoding": given["encoding"],
        "prefix": given["prefix"],
        "separator": given["separator"],
        "message": given["signed"],
        "key_prefix": given["key_prefix"],
        "id_header": given["id_header"],
        "timestamp": timestamp if header or prefix else None,
        "body_digest": given["body_digest"],
        "url": given["sender_url"],
    }


def _events(incoming: kit.Incoming[Sender]) -> Iterable[kit.Draft]:
    sender, request = incoming.config, incoming.request
    content_type = request.headers.get("content-type", "")
    kind = sender.type_place and kit.text_at(request, sender.type_place, incoming.content.value)
    if sender.data != "read":
        yield kit.Draft(key=_key(incoming), data=request.body, content_type=content_type, type=kind or None)
        return
    content = incoming.content
    stated = sender.known.content_type if sender.known else None
    yield kit.Draft(
        key=_key(incoming),
        data=content.data,
        content_type=stated or content.content_type,
        type=kind or None,
        request=kit.request_data(request, sender.reads),
    )


def _key(incoming: kit.Incoming[Sender]) -> str:
    sender, request = incoming.config, incoming.request
    rule = sender.counts_as_repeat
    key = _id(incoming)
    if key is None:
        # Two requests with the same body are two events where nothing is signed: "the door was opened".
        key = str(kit.new_id(request.received_at)) if rule == "never" else kit.digest(sender.verifier.signed(request))
    time = sender.verifier.signed_time(request) if rule == "by_time" else None
    return f"{key}@{time}" if time else key


def _id(incoming: kit.Incoming[Sender]) -> str | None:
    sender, request = incoming.config, incoming.request
    if place := sender.id_place:
        found = kit.text_at(request, place, incoming.content.value)
        if found is None and sender.event_id:
            raise kit.Malformed(f"There is no event id at {place}: no text or whole number.")
        return found
    if sender.signs:
        return sender.verifier.signed_id(request)
    return request.headers.get("webhook-id") or request.headers.get("idempotency-key")


def _repeats(sender: Sender) -> str:
    """Return a sentence for users that says which requests count as repeats."""
    where, rule = sender.id_place, sender.counts_as_repeat
    if not sender.signs and not where:
        where = "header:webhook-id or header:idempotency-key"
    elif isinstance(sender.verifier, kit.Signature) and sender.verifier.id_header and not where:
        where = f"header:{sender.verifier.id_header}"
    same = {
        "by_content": "the same signed content",
        "by_time": "the same signed content and time",
        "never": "",
    }[rule]
    known = [f"with the same id ({where})"] if where else []
    known += [f"with {same}" if not where else f"or, if it has no id, with {same}"] if same else []
    if not known:
        return "No request counts as a repeat (repeats: never)."
    return f"A request {' '.join(known)} counts as a repeat and starts nothing (repeats: {rule})."


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
            "secret to the sender. What comes without proof of the secret is refused. Many senders dictate the secret, "
            "or sign with a key of their own: then their secret or public key is set as the trigger's secret.",
            config=Sender,
            verify=kit.ByConfig(lambda sender: sender.verifier),
            events=_events,
            handshakes=lambda sender: sender.asked,
            verify_token=lambda sender: sender.verify_token,
            methods=lambda sender: sender.methods,
            repeats=_repeats,
            key_explained="The id at the place that the configuration names, or the id that is signed, or the digest "
            "of what is signed. Without a signature and an id, each request is an event.",
            initial={"data": "read"},  # triggers of earlier versions have no such setting, and keep their raw bodies
        ),
    ),
)
