"""Verifiers check that a provider sent a request. One grammar covers the signature schemes of about fifty providers.

A verifier is a value. It is called with the raw request and the live secrets, and returns or raises `Rejected`; it does
nothing else, whatever arrives. A missing part means refusal: no header, no secret, an empty secret, or no time where a
time is signed. A request is accepted if any of its signatures matches any of the live secrets. Nothing in a request
chooses how the request is checked, and no message shows a secret, a signature or a body.
"""

import base64
import hmac
import re
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

from hairtrigger.domain.errors import Rejected
from hairtrigger.kit.incoming import Request

KeyForm = Literal["utf8", "base64", "hex"]

_PLACEHOLDER = re.compile(rb"{(\w+)}")


class Verifier(Protocol):
    """A check that returns if one of the live secrets matches the request, and raises `Rejected` otherwise."""

    def __call__(self, request: Request, secrets: Sequence[str]) -> None: ...


@dataclass(frozen=True)
class Timestamp:
    """The time at which the sender signed, and how far from now it may be, before or after.

    The time follows `prefix` in a header of its own or, if `header` is None, in an element of the signature's header
    (`t=`).
    """

    header: str | None = None
    _: KW_ONLY
    prefix: str = ""
    unit: Literal["s", "ms", "iso"] = "s"
    tolerance: timedelta = timedelta(minutes=5)

    def within(self, text: str, now: datetime) -> bool:
        """Return whether the time is within the tolerance. Raises `ValueError` if the text is no time."""
        return abs(self._seconds(text) - now.timestamp()) <= self.tolerance.total_seconds()

    def _seconds(self, text: str) -> float:
        if self.unit == "iso":
            moment = datetime.fromisoformat(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        if not re.fullmatch("[0-9]{1,15}", text):  # int() accepts more than digits, and is slow for very many digits
            raise ValueError
        return int(text) / (1000 if self.unit == "ms" else 1)


@dataclass(frozen=True)
class Hmac:
    """A keyed digest of a message: the body and, in most schemes, a time, an id, the URL.

    `prefix` stands before each signature and names its version: elements of the header that begin otherwise are
    ignored. `separator` divides the elements of a header that holds several; without a separator the header is one
    element. `message` holds `{body}` and may hold `{timestamp}`, `{id}`, `{url}` and `{method}`. `key` names the
    encoding of the secret, and `key_prefix` the beginning of the secret that is not part of the key.
    """

    header: str
    _: KW_ONLY
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    separator: str | None = None
    message: str = "{body}"
    key: KeyForm = "utf8"
    key_prefix: str = ""
    id_header: str | None = None
    timestamp: Timestamp | None = None

    def __post_init__(self) -> None:
        named = [name.decode() for name in _PLACEHOLDER.findall(self.message.encode())]
        signed = set(named)
        read = {"timestamp"} if self.timestamp else set()
        read |= {"id"} if self.id_header else set()
        if not {"body", *read} <= signed <= {"body", "url", "method", *read}:
            raise ValueError("A message signs the body and all that is read beside it, and nothing that is not read.")
        if len(named) > len(signed):  # a body may be a megabyte, and a stranger may configure the message
            raise ValueError("A message signs each thing once.")
        if self.timestamp and not self.timestamp.header and not (self.separator and self.timestamp.prefix):
            raise ValueError("A time within the signature's header needs a separator and a prefix.")

    def __call__(self, request: Request, secrets: Sequence[str]) -> None:
        keys = [self._key(secret) for secret in _live(secrets, self.header)]
        elements = self._elements(request)
        given = [self._given(signature) for signature in _after(self.prefix, elements)]
        if not given:
            raise Rejected(f"The header {self.header} has no signature that begins with '{self.prefix}'.")
        message = self._signed_message(request, elements)
        expected = [self._signature(key, message) for key in keys]
        if not any(hmac.compare_digest(ours, theirs) for ours in expected for theirs in given):
            raise Rejected(f"The signature in {self.header} does not match.")

    def _key(self, secret: str) -> bytes:
        try:
            key = _decoded(secret.removeprefix(self.key_prefix), self.key)
        except ValueError:
            key = b""
        if not key:
            raise Rejected(f"A secret to check {self.header} with is empty, or is not {self.key}.")
        return key

    def _elements(self, request: Request) -> Sequence[str]:
        value = _header(request, self.header)
        return [value] if self.separator is None else [element.strip() for element in value.split(self.separator)]

    def _given(self, signature: str) -> bytes:
        # Texts are compared, not decoded digests: decoders accept several spellings of the same bytes.
        return _octets(signature.lower() if self.encoding == "hex" else signature, self.header)

    def _signed_message(self, request: Request, elements: Sequence[str]) -> bytes:
        texts = {b"url": request.url, b"method": request.method}
        if self.timestamp:
            texts[b"timestamp"] = self._sent_at(self.timestamp, request, elements)
        if self.id_header:
            texts[b"id"] = _header(request, self.id_header)

        def part(placeholder: re.Match[bytes]) -> bytes:
            name = placeholder[1]
            return request.body if name == b"body" else _octets(texts[name], name.decode())

        return _PLACEHOLDER.sub(part, self.message.encode())

    def _sent_at(self, timestamp: Timestamp, request: Request, elements: Sequence[str]) -> str:
        """Return the time exactly as the sender wrote it, because the sender signed that text."""
        header = timestamp.header or self.header
        texts = _after(timestamp.prefix, [_header(request, timestamp.header)] if timestamp.header else elements)
        try:
            (text,) = texts
            within = timestamp.within(text, request.received_at)
        except ValueError:
            raise Rejected(f"The header {header} does not hold one time that can be read.") from None
        if not within:
            raise Rejected(f"The time in {header} is more than {timestamp.tolerance} from now.")
        return text

    def _signature(self, key: bytes, message: bytes) -> bytes:
        digest = hmac.digest(key, message, self.algorithm)
        return base64.b64encode(digest) if self.encoding == "base64" else digest.hex().encode()


@dataclass(frozen=True)
class Token:
    """The secret itself, sent in a header after `prefix` or in a parameter of the URL's query."""

    header: str | None = None
    _: KW_ONLY
    query: str | None = None
    prefix: str = ""

    def __post_init__(self) -> None:
        if bool(self.header) == bool(self.query):
            raise ValueError("A token is either in a header or in the query.")

    def __call__(self, request: Request, secrets: Sequence[str]) -> None:
        name = self.header or f"the parameter {self.query}"
        expected = [_utf8(secret) for secret in _live(secrets, name)]
        given = _after(self.prefix, self._values(request))
        if len(given) != 1:
            raise Rejected(f"The token is missing from {name}, or there are several.")
        theirs = _octets(given[0], name) if self.header else _utf8(given[0])
        if not any(hmac.compare_digest(ours, theirs) for ours in expected):
            raise Rejected(f"The token in {name} is not the right one.")

    def _values(self, request: Request) -> Sequence[str]:
        return [_header(request, self.header)] if self.header else request.query(self.query or "")


@dataclass(frozen=True)
class Basic:
    """`Authorization: Basic …`, where the secret is `user:password`."""

    def __call__(self, request: Request, secrets: Sequence[str]) -> None:
        expected = [base64.b64encode(_utf8(secret)) for secret in _live(secrets, "Authorization")]
        scheme, _, credentials = _header(request, "Authorization").partition(" ")
        if scheme.lower() != "basic":
            raise Rejected("The header Authorization is not of the scheme Basic.")
        theirs = _octets(credentials.strip(), "Authorization")
        if not any(hmac.compare_digest(ours, theirs) for ours in expected):
            raise Rejected("The user or the password in Authorization is not the right one.")


def _live(secrets: Sequence[str], header: str) -> Sequence[str]:
    # A string is a sequence of strings, too: each of its letters would then count as a secret.
    if isinstance(secrets, str) or not secrets or not all(secret.strip() for secret in secrets):
        raise Rejected(f"There is no secret to check {header} with, or an empty one.")
    return secrets


def _decoded(text: str, form: KeyForm) -> bytes:
    match form:
        case "utf8":
            return text.encode()
        case "base64":
            return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        case "hex":
            return bytes.fromhex(text)


def _header(request: Request, name: str) -> str:
    value = request.headers.get(name)
    if not value:
        raise Rejected(f"The header {name} is missing.")
    return value


def _after(prefix: str, elements: Sequence[str]) -> Sequence[str]:
    """Return the text after the prefix, for each element that begins with the prefix and does not end there."""
    return [element[len(prefix) :] for element in elements if element.startswith(prefix) and element != prefix]


def _octets(text: str, name: str) -> bytes:
    """Return the bytes that arrived. Servers pass them on as Latin-1."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise Rejected(f"{name} holds characters that HTTP does not carry.") from None


def _utf8(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


# https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
STANDARD_WEBHOOKS = Hmac(
    "webhook-signature",
    encoding="base64",
    prefix="v1,",
    separator=" ",
    message="{id}.{timestamp}.{body}",
    key="base64",
    key_prefix="whsec_",
    id_header="webhook-id",
    timestamp=Timestamp("webhook-timestamp"),
)

# The names of these headers before Standard Webhooks was a standard: Svix, Clerk and Resend use them.
# https://docs.svix.com/receiving/verifying-payloads/how-manual
SVIX = replace(STANDARD_WEBHOOKS, header="svix-signature", id_header="svix-id", timestamp=Timestamp("svix-timestamp"))

# https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
GITHUB = Hmac("X-Hub-Signature-256", prefix="sha256=")

# There are several v1 while a secret is being replaced. https://docs.stripe.com/webhooks#verify-manually
STRIPE = Hmac(
    "Stripe-Signature",
    prefix="v1=",
    separator=",",
    message="{timestamp}.{body}",
    timestamp=Timestamp(prefix="t="),
)

# https://docs.slack.dev/authentication/verifying-requests-from-slack
SLACK = Hmac(
    "X-Slack-Signature",
    prefix="v0=",
    message="v0:{timestamp}:{body}",
    timestamp=Timestamp("X-Slack-Request-Timestamp"),
)

# https://www.typeform.com/developers/webhooks/secure-your-webhooks/
TYPEFORM = Hmac("Typeform-Signature", encoding="base64", prefix="sha256=")

# The secret belongs to the app. https://shopify.dev/docs/apps/build/webhooks/subscribe/https
SHOPIFY = Hmac("X-Shopify-Hmac-Sha256", encoding="base64")
