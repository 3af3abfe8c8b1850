"""Verifiers check that a provider sent a request. One grammar covers the signature schemes of about seventy providers.

A verifier is a value. It is called with the raw request and the live secrets. It returns if the request is authentic.
If not, it raises `Rejected`, or `DocumentNeeded` if a certificate must be fetched first. It raises no other error,
whatever the request holds.

A missing part means refusal: no header, no secret, an empty secret, or no time where a time is signed. A request is
accepted if any of its signatures matches any of the live secrets. Nothing in a request chooses how the request is
checked, and no message shows a secret, a signature or a body.
"""

import base64
import hashlib
import hmac
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from hairtrigger.domain.errors import Malformed, Rejected
from hairtrigger.domain.instants import spelled
from hairtrigger.kit.bodies import form_fields
from hairtrigger.kit.incoming import Request
from hairtrigger.kit.places import at_pointer, text_at

KeyForm = Literal["utf8", "base64", "hex"]
PublicKeyForm = Literal["base64", "hex", "pem"]

_PLACEHOLDER = re.compile(rb"{(\w+|/[^{}]*)}")
_MOST_SIGNATURES = 16  # of one request: a check of a public key's signature takes 0.1 ms
_LARGEST_KEY = 8192  # bits of an RSA key


class Verifier(Protocol):
    """A check that returns if one of the live secrets proves the request to be authentic, and raises `Rejected`
    otherwise.

    A check that needs a certificate which is not among the request's documents raises `DocumentNeeded`.
    """

    def __call__(self, request: Request, secrets: Sequence[str]) -> None: ...


class Scheme(ABC):
    """A verifier that also says which places of a request it reads, and what of a request is signed."""

    @abstractmethod
    def __call__(self, request: Request, secrets: Sequence[str]) -> None: ...

    @property
    def reads(self) -> frozenset[str]:
        """Return the places of a request that the verifier reads for its proof, each as `header:name` in lower case,
        `query:name`, or a JSON pointer.
        """
        return frozenset()

    @property
    def is_timed(self) -> bool:
        """Return whether the sender signs the time."""
        return False

    def fault(self, secret: str) -> str | None:
        """Return a sentence that says why the text can't be a secret of this scheme, or None if it can."""
        return None if secret.strip() else "It is empty."

    def signed(self, request: Request) -> bytes:
        """Return the bytes of a verified request from which the key of an event without an id is made.

        That is the body or, if a signature covers only parts of it, the message that is signed.
        """
        return request.body

    def signed_id(self, request: Request) -> str | None:  # noqa: ARG002
        """Return the id that the proof of the request covers, or None if the scheme covers no id."""
        return None

    def signed_time(self, request: Request) -> str | None:  # noqa: ARG002
        """Return the time that the proof of the request covers, as the sender wrote it, or None if the scheme covers no
        time.
        """
        return None


@dataclass(frozen=True)
class Timestamp:
    """The place and form of the time at which the sender signed, and how far from now that time may be, before or
    after.

    The time follows `prefix` in a header of its own or, if `header` is None, in an element of the signature's header
    (`t=`). `header` may also be a JSON pointer into the body.
    """

    header: str | None = None
    _: KW_ONLY
    prefix: str = ""
    unit: Literal["s", "ms", "iso"] = "s"
    tolerance: timedelta = timedelta(minutes=5)

    def ahead(self, text: str, now: datetime) -> timedelta:
        """Return how far the time in the text is ahead of `now`, which is negative if it is behind. Raises `ValueError`
        if the text is no time.
        """
        return timedelta(seconds=min(max(self._seconds(text) - now.timestamp(), -_AGES), _AGES))

    def within(self, text: str, now: datetime) -> bool:
        """Return whether the time in the text is within the tolerance around `now`. Raises `ValueError` if the text is
        no time.
        """
        return abs(self.ahead(text, now)) <= self.tolerance

    def _seconds(self, text: str) -> float:
        if self.unit == "iso":
            moment = datetime.fromisoformat(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        if not re.fullmatch("[0-9]{1,15}", text):  # int() accepts more than digits, and is slow for very many digits
            raise ValueError
        return int(text) / (1000 if self.unit == "ms" else 1)


_AGES = 1e12  # seconds; a `timedelta` holds more


@dataclass(frozen=True)
class Signature(Scheme):
    """A signature of a message, which is the body and, in most schemes, a time, an id or the URL.

    `header` is the header with the signature or a JSON pointer to it. If a scheme sends one signature for each of two
    secrets, the second one is in `other_header`. `prefix` stands before each signature and names its version; elements
    of the header that begin otherwise are ignored. `separator` divides the elements of a header that holds several.
    Without a separator the header is one element.

    `message` is a template. It holds `{body}` and may hold `{timestamp}`, `{id}`, `{url}` and `{method}`. In place of
    the body it may hold `{form}`, the sorted names and values of a form, or the URL, if the URL holds the SHA-256 of
    the body at `body_digest`. A scheme that signs only parts of the body, `{/pointer}`, is `partial`, and the keys of
    its events are made only of what is signed. `single` is a pointer to a list that must have one element, so that no
    element is unsigned. `url` is the public URL as the sender knows it, if that differs from ours.
    """

    header: str
    _: KW_ONLY
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    separator: str | None = None
    message: str = "{body}"
    key_prefix: str = ""
    id_header: str | None = None
    timestamp: Timestamp | None = None
    other_header: str | None = None
    body_digest: str | None = None
    partial: bool = False
    single: str | None = None
    url: str | None = None

    def __post_init__(self) -> None:
        named = [name.decode() for name in _PLACEHOLDER.findall(self.message.encode())]
        signed = {name for name in named if not name.startswith("/")}
        inside = self.timestamp is not None and (self.timestamp.header or "").startswith("/")
        read = {"timestamp"} if self.timestamp and not inside else set()
        read |= {"id"} if self.id_header else set()
        needed = (
            read if self.partial else {"url" if self.body_digest else "form" if "form" in signed else "body", *read}
        )
        if not needed <= signed <= {"body", "form", "url", "method", "timestamp", *read}:
            raise ValueError("A message signs the body and all that is read beside it, and nothing that is not read.")
        if "timestamp" in signed and not self.timestamp:
            raise ValueError("A message signs the time only where it is said where the time is.")
        if len(named) > len(set(named)):  # a body may be a megabyte, and a stranger may configure the message
            raise ValueError("A message signs each thing once.")
        if self.timestamp and not self.timestamp.header and not (self.separator and self.timestamp.prefix):
            raise ValueError("A time within the signature's header needs a separator and a prefix.")

    @property
    def reads(self) -> frozenset[str]:
        places = [self.header, self.other_header, self.id_header, self.timestamp and self.timestamp.header]
        return frozenset(_place(one) for one in places if one) | ({self.body_digest} if self.body_digest else set())

    @property
    def is_timed(self) -> bool:
        return self.timestamp is not None

    def signed(self, request: Request) -> bytes:
        if self.partial or "{form}" in self.message:
            with suppress(Rejected):  # an API key has proved the request, which then need not be signed
                return self._signed_message(request, self._elements(request, self.header))
        return request.body

    def signed_id(self, request: Request) -> str | None:
        return request.headers.get(self.id_header) if self.id_header else None

    def signed_time(self, request: Request) -> str | None:
        if self.timestamp is not None:
            with suppress(Rejected):
                return self._time(self.timestamp, request, self._elements(request, self.header))
        return None

    def _elements(self, request: Request, header: str) -> Sequence[str]:
        value = _value(request, header)
        return [value] if self.separator is None else [element.strip() for element in value.split(self.separator)]

    def _signatures(self, request: Request) -> tuple[Sequence[str], Sequence[str]]:
        """Return the elements of `header`, and then the signatures in `header` and `other_header`, without their
        prefix.

        Raises `Rejected` if there is no signature, or if there are too many.
        """
        elements = self._elements(request, self.header)
        found = _after(self.prefix, elements)
        if self.other_header and request.headers.get(self.other_header):
            found = [*found, *_after(self.prefix, self._elements(request, self.other_header))]
        if not found:
            raise Rejected(f"{_named(self.header)} has no signature that begins with '{self.prefix}'.")
        if len(found) > _MOST_SIGNATURES:
            raise Rejected(f"{_named(self.header)} has more than {_MOST_SIGNATURES} signatures.")
        return elements, found

    def _signed_message(self, request: Request, elements: Sequence[str]) -> bytes:
        if self.body_digest and _text_at(request, self.body_digest) != hashlib.sha256(request.body).hexdigest():
            raise Rejected("The URL does not hold the digest of this body.")
        if self.single and not _has_one(at_pointer(_body(request), self.single)):
            raise Rejected(f"The body does not have one element at {self.single}.")
        texts: dict[bytes, str] = {b"url": self._url(request), b"method": request.method}
        if self.timestamp:
            texts[b"timestamp"] = self._sent_at(self.timestamp, request, elements)
        if self.id_header:
            texts[b"id"] = _value(request, self.id_header)

        def part(placeholder: re.Match[bytes]) -> bytes:
            name = placeholder[1]
            if name == b"body":
                return request.body
            if name == b"form":
                return _sorted_form(request.body)
            if name.startswith(b"/"):
                return _signed_value(at_pointer(_body(request), name.decode()))
            return _octets(texts[name], name.decode())

        return _PLACEHOLDER.sub(part, self.message.encode())

    def _url(self, request: Request) -> str:
        if self.url is None:
            return request.url
        _, mark, query = request.url.partition("?")
        return self.url if "?" in self.url else f"{self.url}{mark}{query}"

    def _time(self, timestamp: Timestamp, request: Request, elements: Sequence[str]) -> str:
        """Return the time exactly as the sender wrote it, because the sender signed that text.

        Raises `Rejected` if the request does not hold exactly one time.
        """
        header = timestamp.header or self.header
        texts = _after(timestamp.prefix, [_value(request, header)] if timestamp.header else elements)
        if len(texts) != 1:
            raise Rejected(f"{_named(header)} does not hold one time that can be read.")
        return texts[0]

    def _sent_at(self, timestamp: Timestamp, request: Request, elements: Sequence[str]) -> str:
        text = self._time(timestamp, request, elements)
        require_timely(timestamp, text, request, _named(timestamp.header or self.header))
        return text


@dataclass(frozen=True)
class Hmac(Signature):
    """A signature that is a keyed digest of the message.

    `key` names the encoding of the secret. `key_prefix` is a beginning of the secret that is not part of the key.
    """

    _: KW_ONLY
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    key: KeyForm = "utf8"

    def __call__(self, request: Request, secrets: Sequence[str]) -> None:
        keys = [self._key(secret) for secret in _live(secrets, self.header)]
        elements, signatures = self._signatures(request)
        given = [self._given(signature) for signature in signatures]
        message = self._signed_message(request, elements)
        expected = [self._signature(key, message) for key in keys]
        if not any(hmac.compare_digest(ours, theirs) for ours in expected for theirs in given):
            raise Rejected(_mismatch(self.header))

    def fault(self, secret: str) -> str | None:
        try:
            self._key(secret)
        except Rejected:
            return f"It is not {self.key}, which this sender's secrets are." if secret.strip() else "It is empty."
        return None

    def _key(self, secret: str) -> bytes:
        try:
            key = _decoded(secret.removeprefix(self.key_prefix), self.key)
        except ValueError:
            key = b""
        if not key:
            raise Rejected(f"A secret to check {self.header} with is empty, or is not {self.key}.")
        return key

    def _given(self, signature: str) -> bytes:
        # Texts are compared, not decoded digests: decoders accept several spellings of the same bytes.
        return _octets(signature.lower() if self.encoding == "hex" else signature, self.header)

    def _signature(self, key: bytes, message: bytes) -> bytes:
        digest = hmac.digest(key, message, self.algorithm)
        return base64.b64encode(digest) if self.encoding == "base64" else digest.hex().encode()


@dataclass(frozen=True)
class PublicKey(Signature):
    """A signature that is checked with the sender's public key, which takes the place of the secret.

    The public key is raw, or a `SubjectPublicKeyInfo`, in hex or base64 as `key` says, or it is PEM text.
    """

    _: KW_ONLY
    algorithm: Literal["ed25519", "ecdsa_p256", "rsa_sha256"]
    key: PublicKeyForm = "base64"

    def __call__(self, request: Request, secrets: Sequence[str]) -> None:
        checks = [self._check(secret) for secret in _live(secrets, self.header)]
        elements, signatures = self._signatures(request)
        given = [self._given(signature) for signature in signatures]
        message = self._signed_message(request, elements)
        if not any(_holds(check, signature, message) for check in checks for signature in given):
            raise Rejected(_mismatch(self.header))

    def fault(self, secret: str) -> str | None:
        try:
            self._check(secret)
        except Rejected:
            return f"It is not a public key of the kind {self.algorithm}: the sender's public key is the secret here."
        return None

    def _given(self, signature: str) -> bytes:
        try:
            given = _decoded(signature, "hex" if self.encoding == "hex" else "base64")
        except ValueError:
            return b""
        # Decoders accept several spellings of the same bytes.
        canonical = given.hex() if self.encoding == "hex" else base64.b64encode(given).decode()
        return given if canonical == (signature.lower() if self.encoding == "hex" else signature) else b""

    def _check(self, secret: str) -> "Check":
        """Return a function that is called with a signature and a message, and raises `InvalidSignature` if this key
        did not make the signature.

        Raises `Rejected` if the text is no key of the scheme's kind.
        """
        try:
            key = self._public_key(secret.strip())
        except (ValueError, UnsupportedAlgorithm):
            key = None
        match key:
            case ed25519.Ed25519PublicKey() if self.algorithm == "ed25519":
                return key.verify
            case ec.EllipticCurvePublicKey() if self.algorithm == "ecdsa_p256" and key.curve.name == "secp256r1":
                return lambda signature, message: key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
            case rsa.RSAPublicKey() if self.algorithm == "rsa_sha256" and 2048 <= key.key_size <= _LARGEST_KEY:
                return lambda signature, message: key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
            case _:
                raise Rejected(f"A key to check {self.header} with is not a public key of the kind {self.algorithm}.")

    def _public_key(self, secret: str) -> object:
        if secret.startswith("-----BEGIN "):
            return serialization.load_pem_public_key(secret.encode())
        raw = _decoded(secret.removeprefix(self.key_prefix), "hex" if self.key == "hex" else "base64")
        if self.algorithm == "ed25519" and len(raw) == 32:
            return ed25519.Ed25519PublicKey.from_public_bytes(raw)
        return serialization.load_der_public_key(raw)


Check = Callable[[bytes, bytes], None]


@dataclass(frozen=True)
class Token(Scheme):
    """The secret itself, sent in a header after `prefix`, in a parameter of the URL's query, or in the body.

    `pointer` leads into the body. A part `*` stands for each element of a list, which must not be empty. Each of these
    elements must hold the secret.
    """

    header: str | None = None
    _: KW_ONLY
    query: str | None = None
    pointer: str | None = None
    prefix: str = ""

    def __post_init__(self) -> None:
        if [bool(self.header), bool(self.query), bool(self.pointer)].count(True) != 1:
            raise ValueError("A token is either in a header, in the query or in the body.")

    def __call__(self, request: Request, secrets: Sequence[str]) -> None:
        name = self.header or self.pointer or f"the parameter {self.query}"
        expected = [_utf8(secret) for secret in _live(secrets, name)]
        values = self._values(request)
        given = _after(self.prefix, values)
        if len(given) != len(values) or not given or (len(given) > 1 and not self.pointer):
            raise Rejected(f"The token is missing from {name}, or there are several.")
        for one in given:
            theirs = _octets(one, name) if self.header else _utf8(one)
            if not any(hmac.compare_digest(ours, theirs) for ours in expected):
                raise Rejected(f"The token in {name} is not the right one.")

    @property
    def reads(self) -> frozenset[str]:
        return frozenset({_place(self.header) if self.header else self.pointer or f"query:{self.query}"})

    def _values(self, request: Request) -> Sequence[str]:
        if self.header:
            return [_header(request, self.header)]
        if self.pointer:
            return [one if isinstance(one, str) else "" for one in _each(_body(request), self.pointer.split("/")[1:])]
        return request.query(self.query or "")


@dataclass(frozen=True)
class Basic(Scheme):
    """HTTP Basic authentication, where the secret is `user:password`."""

    def __call__(self, request: Request, secrets: Sequence[str]) -> None:
        expected = [base64.b64encode(_utf8(secret)) for secret in _live(secrets, "Authorization")]
        scheme, _, credentials = _header(request, "Authorization").partition(" ")
        if scheme.lower() != "basic":
            raise Rejected("The header Authorization is not of the scheme Basic.")
        theirs = _octets(credentials.strip(), "Authorization")
        if not any(hmac.compare_digest(ours, theirs) for ours in expected):
            raise Rejected("The user or the password in Authorization is not the right one.")

    @property
    def reads(self) -> frozenset[str]:
        return frozenset({"header:authorization"})

    def fault(self, secret: str) -> str | None:
        return None if ":" in secret else "It is not of the form user:password."


def live_secrets(secrets: Sequence[str], name: str) -> Sequence[str]:
    """Return the given secrets. Raises `Rejected` if there are none, or if one of them is empty. The message of the
    error says that `name` can't be checked.
    """
    return _live(secrets, name)


def require_timely(timestamp: Timestamp, text: str, request: Request, name: str = "the body") -> None:
    """Raise `Rejected` if the text is not a time within the tolerance of `timestamp`. The message of the error calls
    the place of the text `name`.
    """
    try:
        within = timestamp.within(text, request.received_at)
    except ValueError:
        raise Rejected(f"{name[0].upper()}{name[1:]} does not hold one time that can be read.") from None
    if not within:
        raise Rejected(_untimely(name, timestamp, text, request.received_at))


def _live(secrets: Sequence[str], header: str) -> Sequence[str]:
    # A string is a sequence of strings, too: each of its letters would then count as a secret.
    if isinstance(secrets, str) or not secrets or not all(secret.strip() for secret in secrets):
        raise Rejected(f"There is no secret to check {header} with, or an empty one.")
    return secrets


def _mismatch(header: str) -> str:
    return (
        f"The signature in {header} does not match: the sender has another secret, or the body was changed on its way."
    )


def _untimely(name: str, timestamp: Timestamp, text: str, now: datetime) -> str:
    ahead, allowed = timestamp.ahead(text, now), spelled(timestamp.tolerance)
    side = "ahead of" if ahead > timedelta() else "behind"
    verb = "is" if allowed.startswith("1 ") else "are"
    cause = (
        "The sender's clock is wrong" if ahead > timedelta() else "The delivery is late, or the sender's clock is wrong"
    )
    name = f"{name[0].lower()}{name[1:]}"
    return f"The time in {name} is {spelled(abs(ahead))} {side} our clock; {allowed} {verb} allowed. {cause}."


def _holds(check: "Check", signature: bytes, message: bytes) -> bool:
    try:
        check(signature, message)
    except InvalidSignature:
        return False
    return True


def _has_one(value: object) -> bool:
    return isinstance(value, list) and len(value) == 1


def _each(value: object, path: Sequence[str]) -> Iterator[object]:
    """Yield each value to which the path leads. Yield None for a missing member, and for a `*` that meets no list or an
    empty one.
    """
    for place, part in enumerate(path):
        if part == "*":
            if not isinstance(value, list) or not value:
                yield None
                return
            for one in value:
                yield from _each(one, path[place + 1 :])
            return
        value = at_pointer(value, f"/{part}")
    yield value


def _sorted_form(body: bytes) -> bytes:
    """Return the names and values of a form, joined without separators and sorted by name and value. Equal pairs count
    once.

    Raises `Rejected` if the form has too many fields.
    """
    try:
        pairs = set(form_fields(body))
    except Malformed as error:
        raise Rejected(error.message) from None
    return "".join(name + value for name, value in sorted(pairs)).encode(errors="surrogatepass")


def _signed_value(value: object) -> bytes:
    match value:
        case None:
            return b""
        case bool():
            return b"true" if value else b"false"
        case str() | int():
            return _utf8(str(value))
        case _:
            raise Rejected("A signed part of the body is no text and no whole number.")


def _decoded(text: str, form: KeyForm) -> bytes:
    match form:
        case "utf8":
            return text.encode()
        case "base64":
            return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        case "hex":
            return bytes.fromhex(text)


def _place(header: str) -> str:
    return header if header.startswith("/") else f"header:{header.lower()}"


def _named(header: str) -> str:
    return f"The body at {header}" if header.startswith("/") else f"The header {header}"


def _value(request: Request, header: str) -> str:
    if not header.startswith("/"):
        return _header(request, header)
    found = _text_at(request, header)
    if found is None:
        raise Rejected(f"The body has no text at {header}.")
    return found


def _text_at(request: Request, place: str) -> str | None:
    return text_at(request, place, _body(request) if place.startswith("/") else None)


def _body(request: Request) -> Any:
    """Return the JSON value or the form of the body, or None if the body is neither.

    Raises `Rejected` if the form can't be read or the JSON has too many parts, because nothing proves the sender then.
    """
    try:
        return request.value
    except Malformed as error:
        raise Rejected(error.message) from None


def _header(request: Request, name: str) -> str:
    value = request.headers.get(name)
    if not value:
        raise Rejected(f"The header {name} is missing.")
    return value


def _after(prefix: str, elements: Sequence[str]) -> Sequence[str]:
    """Return, of each element that begins with the prefix, the rest after it, unless that is empty."""
    return [element[len(prefix) :] for element in elements if element.startswith(prefix) and element != prefix]


def _octets(text: str, name: str) -> bytes:
    """Return the bytes that arrived as this text, because servers pass bytes on as Latin-1. Raises `Rejected` for a
    text with other characters.
    """
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
