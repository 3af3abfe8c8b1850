"""The page on webhooks: its tables come from the code, and its examples are signed here with code of their own."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hairtrigger.kit.handshake import HANDSHAKES, Handshake
from hairtrigger.kit.request_data import MOST
from hairtrigger.kit.senders import SENDERS, KnownSender
from hairtrigger.kit.sns import Sns
from hairtrigger.kit.verify import Basic, Hmac, PublicKey, Scheme, Signature, Token
from hairtrigger.kit.web_token import WebToken

NOW = datetime(2026, 5, 4, 10, 2, tzinfo=UTC)
SECRET = "correct horse battery staple"
_SECONDS = str(int(NOW.timestamp()))
_JSON = "application/json"
_BODY = '{"id": "evt_1", "type": "order.paid"}'


@dataclass(frozen=True)
class Example:
    """A configuration, a request that it accepts, and what becomes of the request when it comes a second time."""

    title: str
    config: Mapping[str, Any]
    headers: Mapping[str, str]
    body: str = _BODY
    method: str = "POST"
    query: str = ""
    secret: str = SECRET
    answer: str = "accepted"
    again: str = "duplicate"
    about: str = ""
    event: Mapping[str, Any] = field(default_factory=dict)
    """What the event is like, of: key, type, data, request."""

    def text(self) -> str:
        lines = [f"{self.method} /{self.query} HTTP/1.1", *(f"{name}: {value}" for name, value in self.headers.items())]
        request = "\n".join(lines) + (f"\n\n{self.body}" if self.body else "")
        about = f"{self.about}\n\n" if self.about else ""
        event = f"\n\nThe event:\n\n```json\n{json.dumps(self.event, indent=2)}\n```" if self.event else ""
        again = f" The same request again: `{self.again}`." if self.again else ""
        return (
            f"### {self.title}\n\n{about}```json\n{json.dumps(self.config, indent=2)}\n```\n\n"
            f"Secret: `{self.secret}`\n\n"
            f"```http\n{request}\n```\n\nAnswer: `{self.answer}`.{again}{event}\n"
        )


def _hmac(message: str, secret: str = SECRET, name: str = "sha256") -> bytes:
    return hmac.new(secret.encode(), message.encode(), name).digest()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _web_token(claims: Mapping[str, Any]) -> str:
    parts = [
        base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=")
        for one in ({"alg": "HS256", "typ": "JWT"}, claims)
    ]
    signature = base64.urlsafe_b64encode(_hmac(".".join(parts))).decode().rstrip("=")
    return f"{'.'.join(parts)}.{signature}"


_KEY = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
_ED25519 = Ed25519PrivateKey.from_private_bytes(b"an example of a private key, 32B")
_PUBLIC = _ED25519.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
_FORM = {"Body": "Hello", "From": "+1555"}
_URL = "https://example.com/in"

PROOFS: Sequence[Example] = (
    Example(
        "A token in a header",
        {"scheme": "token", "header": "X-Api-Key"},
        {"X-Api-Key": SECRET, "Content-Type": _JSON},
        again="accepted",
        about="The secret itself. Nothing is signed, so two equal requests are two events unless an id says otherwise. "
        "Without a `header` it is `X-Webhook-Secret`.",
    ),
    Example(
        "A token in the query",
        {"scheme": "token", "query": "key", "event_id": "/id"},
        {"Content-Type": _JSON},
        query="?" + urlencode({"key": SECRET}),
        about="`query` names the parameter. It is left out of what is kept of the request.",
    ),
    Example(
        "A token in the body",
        {"scheme": "token", "pointer": "/token", "event_id": "/id"},
        {"Content-Type": _JSON},
        body=json.dumps({"id": 1, "token": SECRET}),
        about="`pointer` is a JSON pointer.",
    ),
    Example(
        "HTTP Basic",
        {"scheme": "basic", "event_id": "header:X-Request-Id"},
        {"Authorization": f"Basic {_base64(b'me:' + SECRET.encode())}", "X-Request-Id": "r1", "Content-Type": _JSON},
        secret=f"me:{SECRET}",
        about="The secret is `user:password`.",
    ),
    Example(
        "A digest of the body",
        {"scheme": "hmac", "header": "X-Hub-Signature-256", "prefix": "sha256="},
        {"X-Hub-Signature-256": f"sha256={_hmac(_BODY).hex()}", "Content-Type": _JSON},
        about="`algorithm` (sha256, sha1, sha512) and `encoding` (hex, base64) say how it is made and written.",
    ),
    Example(
        "A digest of the time and the body, in one header",
        {
            "scheme": "hmac",
            "header": "X-Signature",
            "prefix": "v1=",
            "separator": ",",
            "timestamp_prefix": "t=",
            "signed": "{timestamp}.{body}",
        },
        {"X-Signature": f"t={_SECONDS},v1={_hmac(f'{_SECONDS}.{_BODY}').hex()}", "Content-Type": _JSON},
        about="`separator` divides the elements. Elements with another `prefix` are ignored, so that a sender may sign "
        "with two secrets. The time must be within `tolerance` seconds (300).",
    ),
    Example(
        "A digest with the time in a header of its own",
        {
            "scheme": "hmac",
            "header": "X-Slack-Signature",
            "prefix": "v0=",
            "timestamp_header": "X-Slack-Request-Timestamp",
            "signed": "v0:{timestamp}:{body}",
            "repeats": "by_time",
        },
        {
            "X-Slack-Signature": f"v0={_hmac(f'v0:{_SECONDS}:{_BODY}').hex()}",
            "X-Slack-Request-Timestamp": _SECONDS,
            "Content-Type": _JSON,
        },
        about="`timestamp_unit` is s, ms or iso. With `repeats: by_time`, an equal body at another time is an event.",
    ),
    Example(
        "A key that is written in base64",
        {"scheme": "hmac", "header": "Authorization", "prefix": "HMAC ", "encoding": "base64", "key": "base64"},
        {
            "Authorization": "HMAC "
            + _base64(hmac.new(base64.b64decode(_KEY), _BODY.encode(), hashlib.sha256).digest()),
            "Content-Type": _JSON,
        },
        secret=_KEY,
        about="`key` is utf8, base64 or hex, and `key_prefix` the beginning of the secret that is no part of the key.",
    ),
    Example(
        "Standard Webhooks",
        {"scheme": "standard_webhooks"},
        {
            "webhook-id": "msg_1",
            "webhook-timestamp": _SECONDS,
            "webhook-signature": "v1,"
            + _base64(hmac.new(base64.b64decode(_KEY), f"msg_1.{_SECONDS}.{_BODY}".encode(), hashlib.sha256).digest()),
            "Content-Type": _JSON,
        },
        secret=f"whsec_{_KEY}",
        about="As https://www.standardwebhooks.com says; `svix` is the same under its older names. The id is signed.",
        event={"key": "msg_1"},
    ),
    Example(
        "The URL is signed",
        {
            "scheme": "hmac",
            "header": "X-Signature",
            "algorithm": "sha1",
            "encoding": "base64",
            "signed": "{url}{body}",
            "sender_url": _URL,
        },
        {"X-Signature": _base64(_hmac(f"{_URL}{_BODY}", name="sha1")), "Content-Type": _JSON},
        about="`sender_url` is needed only if the sender sends to another URL than this service's, as behind a tunnel.",
    ),
    Example(
        "The fields of a form are signed",
        {
            "scheme": "hmac",
            "header": "X-Twilio-Signature",
            "algorithm": "sha1",
            "encoding": "base64",
            "signed": "{url}{form}",
            "sender_url": _URL,
        },
        {
            "X-Twilio-Signature": _base64(
                _hmac(_URL + "".join(f"{name}{value}" for name, value in sorted(_FORM.items())), name="sha1")
            ),
            "Content-Type": "application/x-www-form-urlencoded",
        },
        body=urlencode(_FORM),
        event={"data": _FORM},
    ),
    Example(
        "A public key",
        {
            "scheme": "public_key",
            "algorithm": "ed25519",
            "key": "hex",
            "header": "X-Signature-Ed25519",
            "timestamp_header": "X-Signature-Timestamp",
            "signed": "{timestamp}{body}",
        },
        {
            "X-Signature-Ed25519": _ED25519.sign(f"{_SECONDS}{_BODY}".encode()).hex(),
            "X-Signature-Timestamp": _SECONDS,
            "Content-Type": _JSON,
        },
        secret=_PUBLIC,
        about="The secret is the sender's public key. `algorithm` is ed25519, ecdsa_p256 or rsa_sha256, and PEM is "
        "read for each.",
    ),
    Example(
        "A signed token (JWT)",
        {"scheme": "jwt", "header": "Authorization", "prefix": "Bearer ", "issuer": "shop", "event_id": "/id"},
        {
            "Authorization": f"Bearer {_web_token({'iss': 'shop', 'exp': int(NOW.timestamp()) + 60})}",
            "Content-Type": _JSON,
        },
        about="`body_claim` names the claim that holds the SHA-256 of the body. A token without one must have an end.",
    ),
)
PARTS: Sequence[Example] = (
    Example(
        "The id and the type of an event",
        {"scheme": "token", "event_id": "/id", "event_type": "/type"},
        {"X-Webhook-Secret": SECRET, "Content-Type": _JSON},
        event={"key": "evt_1", "type": "order.paid"},
    ),
    Example(
        "A known sender",
        {"sender": "shopify"},
        {
            "X-Shopify-Hmac-Sha256": _base64(_hmac(_BODY)),
            "X-Shopify-Topic": "orders/paid",
            "X-Shopify-Event-Id": "e1",
            "Content-Type": _JSON,
        },
        event={"type": "orders/paid"},
    ),
    Example(
        "What is kept of the request",
        {"scheme": "token", "query": "key"},
        {"X-Event": "ping", "Authorization": "Bearer x", "X-My-Token": "y", "Content-Type": _JSON},
        method="PUT",
        query="?" + urlencode({"key": SECRET, "source": "a"}),
        again="accepted",
        event={
            "request": {
                "method": "PUT",
                "query": {"source": "a"},
                "headers": {"x-event": "ping", "content-type": _JSON},
            }
        },
    ),
)
GREETINGS: Sequence[Example] = (
    Example(
        "Dropbox asks with GET",
        {"handshake": "dropbox"},
        {},
        method="GET",
        query="?challenge=abc",
        body="",
        answer="200 abc",
        again="",
    ),
    Example(
        "Asana sends a header, and wants it back",
        {"sender": "asana"},
        {"X-Hook-Secret": "b537207f20cbfa02357cf448134da559"},
        body="",
        answer="200 X-Hook-Secret: b537207f20cbfa02357cf448134da559",
        again="",
        about="What it sends is the signing secret. It is kept, and shown as below.",
    ),
    Example(
        "Notion tells a token",
        {"sender": "notion"},
        {"Content-Type": _JSON},
        body=json.dumps({"verification_token": "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl"}),
        answer="200",
        again="",
        about="The token has to be entered at Notion, and is the signing secret from then on.",
    ),
    Example(
        "A question of your own",
        {
            "handshakes": [
                {
                    "method": "POST",
                    "when": {"/type": "hello"},
                    "json_answer": {"reply": "{/word}"},
                    "tells": "/secret",
                }
            ]
        },
        {"Content-Type": _JSON},
        body=json.dumps({"type": "hello", "word": "swordfish", "secret": "s3cr3t"}),
        answer='200 {"reply":"swordfish"}',
        again="",
        about="`when` holds the places by which the question is known. Places in braces are filled in; `{hex:place}` "
        "and `{base64:place}` are the HMAC-SHA256 of what is there, for questions that are `signed`.",
    ),
)
EXAMPLES = (*PROOFS, *PARTS, *GREETINGS)


def webhooks_document() -> str:
    senders = "\n".join(_row(name, one) for name, one in sorted(SENDERS.items()))
    greetings = "\n".join(f"| `{name}` | {_asked(one)} | {_told(one)} |" for name, one in sorted(HANDSHAKES.items()))
    proofs, parts, asked = ["\n".join(one.text() for one in some) for some in (PROOFS, PARTS, GREETINGS)]
    return f"""# Webhooks of any sender

The provider `webhook` has one trigger, `on_request`: an address that takes requests of whatever can send one and
prove that it knows a secret. Its configuration says how. Every example on this page is run by a test, at
{NOW:%Y-%m-%d %H:%M:%S} UTC.

    hairtrigger triggers create PROJECT webhook on_request --config '{{"sender": "shopify"}}'
    hairtrigger triggers secret TRIGGER
    hairtrigger triggers enable TRIGGER

Many senders dictate the secret, or sign with a key of their own. Then that is set as the trigger's secret:

    hairtrigger triggers secret TRIGGER --stdin

## Known senders

With `sender`, its proof, event ids, event types, repeats and handshakes are set. The secret is what the sender calls
its signing secret, unless the last column says otherwise. There are {len(SENDERS)}.

| sender | proof | where | event id | event type | secret |
|---|---|---|---|---|---|
{senders}

## Proofs

`scheme` and the settings beside it describe every other sender. A request is refused (401) if a part of its proof is
missing or wrong, and the outcome says which. A setting without effect is refused when the trigger is made. A place is
`header:NAME`, `query:NAME`, or a JSON pointer into the body (a form counts as an object).

{proofs}
## Events

{parts}
## Repeats

Senders send a request again if they get no answer of 2xx. A repeat starts nothing, and is answered as the first one
was, with the status `duplicate`. Which requests are repeats is said by `repeats`, and told by `GET
/v1/project-triggers/ID`:

| repeats | a request is a repeat |
|---|---|
| `by_content` | with a known id or, without one, the same signed content; the default where something is signed |
| `by_time` | with the same signed content and time |
| `never` | only with a known id; the default where nothing is signed: "the door was opened" may happen twice |

The id is at `event_id`, or in what the scheme signs. It must be vouched for: an id in a header that is not signed is
refused where something else is, because it would let strangers make a repeat look new. Where nothing is signed,
`webhook-id` and `Idempotency-Key` are ids. Keys are remembered for at least seven days.

## What is kept of a request

- The body, as it came (`data: raw`) or readable (`data: read`, the default): forms are objects, compressed bodies are
  decompressed, text is UTF-8. The proof is always checked on the bytes that came.
- The method, the query and the headers, at most {MOST // 1024} KiB of them. Left out are `Authorization`, `Cookie`,
  `Host`, `Proxy-*`, `Forwarded` and `X-Forwarded-*`, everything that the proof reads, and all names with token,
  secret, key, signature or password in them.
- The privacy of the trigger may say that less is kept. `privacy` is given when a trigger is made, or changed with
  `PATCH /v1/project-triggers/ID`:

      "privacy": {{"keep_body": false, "redact": ["/customer/email", "/items/*/note", "header:X-User"],
                  "retention_days": 7}}

  Without `keep_body`, the body, what is kept of the request and what targets answered is dropped when all deliveries
  of the event have ended. The event, its deliveries and attempts stay without them, say so, and can't be replayed.
  `redact` replaces values by `[redacted]` before anything is stored or delivered, in test samples, too. Keys, types
  and subjects of events are found before, and stay. A body that is not JSON is redacted as a whole. After
  `retention_days`, events are deleted with their deliveries; their keys stay as long as others, so that a repeat is
  known.

## Handshakes

Many senders ask the address a question before they send events, while the trigger is still disabled, too. Those of
known senders are answered; `handshake` names one for others. Each leaves an outcome.

| handshake | asked by | answer |
|---|---|---|
{greetings}

HEAD is always answered, and so is the OPTIONS request of CloudEvents.

{asked}
### The tokens that senders tell

    hairtrigger triggers tokens TRIGGER

shows the last three secrets that the sender told with its handshakes in the last seven days, as does `GET
/v1/project-triggers/ID/tokens`. They are sealed where they are stored. Every sender that knows the address can tell
one, so take the one that came when you asked for it.
"""


def _row(name: str, one: KnownSender) -> str:
    proof, where = _proof(one.verify)
    cells = (f"`{name}`", proof, where, _code(one.event_id), _code(one.event_type), one.asks_for)
    return f"| {' | '.join(cells)} |"


def _code(text: str | None) -> str:
    return f"`{text}`" if text else ""


def _proof(verify: Scheme) -> tuple[str, str]:
    match verify:
        case Hmac():
            return f"HMAC-{verify.algorithm.upper()} of {_message(verify)}", _code(verify.header)
        case PublicKey():
            return f"{verify.algorithm} signature of {_message(verify)}", _code(verify.header)
        case Token():
            place = verify.header or (f"?{verify.query}=" if verify.query else verify.pointer)
            return "token", _code(f"{place}: {verify.prefix}".rstrip(": ") if verify.prefix else place)
        case Basic():
            return "HTTP Basic", "`Authorization`"
        case WebToken():
            return "signed token (JWT)", _code(verify.header)
        case Sns():
            return "certificate of Amazon SNS", "the body"
        case _:
            raise NotImplementedError(type(verify))


def _message(verify: Signature) -> str:
    message = verify.message.replace("\n", "\\n")
    return f"`{message}`" if len(message) < 60 else "fields of the body"


def _asked(one: Handshake) -> str:
    places = [f"`{place}`" + (f" = `{text}`" if text else "") for place, text in one.when.items()]
    return f"{one.method}{' with ' if places else ''}{', '.join(places)}"


def _told(one: Handshake) -> str:
    answer = one.text or (json.dumps(one.json) if one.json else "")
    said = [f"`{answer}`"] if answer else []
    said += [f"`{name}: {value}`" for name, value in one.headers.items()]
    said += ["keeps what it tells"] if one.tells else []
    return ", ".join(said) or str(one.status)
