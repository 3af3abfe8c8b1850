"""Defines handshakes as data. A handshake is a question that a provider asks a webhook, with the answer to it.

Text of the sender is sent back only as plain text, inside a JSON text or in a header, never as a page, and at most 4
KiB of it.
"""

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal, NamedTuple

from pydantic_core import to_json

from hairtrigger.domain.errors import DocumentNeeded, Malformed, Rejected
from hairtrigger.kit.incoming import Request
from hairtrigger.kit.places import PLACE, at_place, is_there, text_at

_LONGEST = 4096
_TEXT = "text/plain; charset=utf-8"
_PLACEHOLDER = re.compile(rf"{{(?:(hex|base64):)?({PLACE})}}")
_NOT_IN_A_HEADER = re.compile(r"[^\t -~]")
_NONE: Mapping[str, str] = {}

Method = Literal["GET", "HEAD", "OPTIONS", "POST"]


class Answer(NamedTuple):
    """An HTTP answer to a request. `headers` returns all its headers, which keep browsers from guessing the content
    type; `more` holds further ones.
    """

    status: int = 200
    content_type: str = _TEXT
    body: bytes = b""
    more: Mapping[str, str] = _NONE

    @property
    def headers(self) -> Mapping[str, str]:
        return {"content-type": self.content_type, "x-content-type-options": "nosniff", **self.more}


@dataclass(frozen=True)
class Handshake:
    """A question that a provider asks before it sends events, and how it is answered.

    A request asks the question if it has the method, and if each place of `when` holds the given text, or anything at
    all where the text is None. A question that is not `signed` is answered without a check, so its answer holds nothing
    but what the request says. `proof` is the place of a text that must be the trigger's verify token, or one of its
    secrets if it has no verify token.

    `text`, the texts in `json` and the `headers` are templates. `{query:challenge}` is replaced by what is at the
    place, and `{hex:/plainToken}` and `{base64:/plainToken}` by the HMAC-SHA256 of that, made with the newest secret.
    Only a signed question may have an HMAC in its answer. Otherwise, the answer to a chosen challenge could be the
    signature of a forged event.

    `tells` is the place of a secret that the sender tells with its question. The secret is kept, sealed, so that the
    user can enter it at the sender or as the trigger's secret.

    `visit` is the place of an address that must be visited before the question is answered. The whole address must
    match the pattern `visited`.
    """

    method: Method
    _: KW_ONLY
    when: Mapping[str, str | None] = field(default_factory=dict)
    signed: bool = False
    proof: str | None = None
    text: str = ""
    json: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    status: int = 200
    tells: str | None = None
    visit: str | None = None
    visited: str = ""

    def __post_init__(self) -> None:
        keyed = [found for found in _PLACEHOLDER.findall(f"{self.text}{self.json}{self.headers}") if found[0]]
        if keyed and not self.signed:
            raise ValueError("An answer with a digest needs a question that is signed.")

    def asks(self, request: Request) -> bool:
        """Return whether the request asks this question. If its body is needed to tell and can't be read, the request
        does not ask it.
        """
        if request.method != self.method:
            return False
        # Most requests are read once, not twice: a text that the body must hold is looked for before the body is read.
        body = request.body
        if any(place[0] == "/" and text is not None and text.encode() not in body for place, text in self.when.items()):
            return False
        try:
            return all(
                is_there(request, place) if text is None else text_at(request, place) == text
                for place, text in self.when.items()
            )
        except Malformed:
            return False  # the provider's parser reports the fault

    def answer(self, request: Request, secrets: Sequence[str] = (), verify_token: str | None = None) -> Answer:
        """Return the answer to this question, which the request must ask.

        Raises `Rejected` if the question lacks a part or is not for this trigger, and `DocumentNeeded` if an address
        must be visited first. If a body can't be read, raises `Malformed` for a signed question. It raises `Rejected`
        for an unsigned one, because nothing proves its sender.
        """
        try:
            return self._answer(request, secrets, verify_token)
        except Malformed as error:
            if self.signed:
                raise
            raise Rejected(error.message) from None

    def _answer(self, request: Request, secrets: Sequence[str], verify_token: str | None) -> Answer:
        if self.proof:
            _require_token(text_at(request, self.proof), [verify_token] if verify_token else secrets)
        if self.visit:
            self._require_visit(text_at(request, self.visit) or "", request)
        headers = {name: self._filled(text, request, secrets) for name, text in self.headers.items()}
        if any(_NOT_IN_A_HEADER.search(value) for value in headers.values()):
            raise Rejected("The challenge holds characters that HTTP does not carry.")
        if self.json is None:
            return Answer(self.status, body=_bounded(self._filled(self.text, request, secrets)), more=headers)
        texts = _each_text(self.json, lambda text: self._filled(text, request, secrets))
        return Answer(self.status, "application/json", to_json(texts), headers)

    def _require_visit(self, url: str, request: Request) -> None:
        if not re.fullmatch(self.visited, url):
            raise Rejected("The address to be visited is not one of this sender.")
        if url not in request.documents:
            raise DocumentNeeded(url)

    def _filled(self, template: str, request: Request, secrets: Sequence[str]) -> str:
        def value(placeholder: re.Match[str]) -> str:
            text = _challenge(at_place(request, placeholder[2]))
            return _keyed(placeholder[1], text, secrets) if placeholder[1] else text

        return _PLACEHOLDER.sub(value, template)


def told(handshakes: Sequence[Handshake], request: Request) -> str | None:
    """Return the secret that the sender tells with the first of these handshakes that the request asks. Return None if
    the request asks none, if that one tells no secret, or if the secret has more than 4,096 characters.
    """
    asked = next((one for one in handshakes if one.asks(request)), None)
    text = text_at(request, asked.tells) if asked and asked.tells else None
    return text if text and len(text) <= _LONGEST else None


def answered(
    handshakes: Sequence[Handshake],
    request: Request,
    secrets: Sequence[str] = (),
    verify_token: str | None = None,
    *,
    signed: bool,
) -> Answer | None:
    """Return the answer to the first of these handshakes that the request asks, or None if it asks none.

    With `signed`, only the signed handshakes count, and without it only the others. Raises the same errors as
    `Handshake.answer`.
    """
    for one in handshakes:
        if one.signed is signed and one.asks(request):
            return one.answer(request, secrets, verify_token)
    return None


def _require_token(given: str | None, known: Sequence[str]) -> None:
    theirs = (given or "").encode(errors="surrogatepass")
    if not given or not any(hmac.compare_digest(one.encode(errors="surrogatepass"), theirs) for one in known):
        raise Rejected("The verify token is missing or not the right one.")


def _challenge(text: object) -> str:
    if not isinstance(text, str) or not text:
        raise Rejected("The challenge is missing, or is not a text.")
    _bounded(text)
    return text


def _bounded(text: str) -> bytes:
    try:
        body = text.encode()
    except UnicodeEncodeError:
        raise Rejected("The challenge is not Unicode text.") from None
    if len(body) > _LONGEST:
        raise Rejected(f"The challenge is longer than {_LONGEST} bytes.")
    return body


def _keyed(encoding: str, text: str, secrets: Sequence[str]) -> str:
    if not secrets or not secrets[0].strip():
        raise Rejected("There is no secret to answer with.")
    digest = hmac.digest(secrets[0].encode(errors="surrogatepass"), text.encode(), "sha256")
    return digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()


def _each_text(value: Any, change: Any) -> Any:
    match value:
        case dict():
            return {name: _each_text(one, change) for name, one in value.items()}
        case str():
            return change(value)
        case _:
            return value


# https://docs.slack.dev/reference/events/url_verification
SLACK_CHALLENGE = Handshake("POST", when={"/type": "url_verification"}, signed=True, text="{/challenge}")
# https://docs.github.com/en/webhooks/webhook-events-and-payloads#ping
GITHUB_PING = Handshake("POST", when={"header:X-GitHub-Event": "ping"}, signed=True, text="pong")
# The question is never signed. https://learn.microsoft.com/en-us/graph/change-notifications-delivery-webhooks
GRAPH_VALIDATION = Handshake("POST", when={"query:validationToken": None}, text="{query:validationToken}")
# https://developers.facebook.com/docs/graph-api/webhooks/getting-started#verification-requests
META_CHALLENGE = Handshake(
    "GET", when={"query:hub.mode": "subscribe"}, proof="query:hub.verify_token", text="{query:hub.challenge}"
)
# https://developers.strava.com/docs/webhooks/
STRAVA_CHALLENGE = Handshake(
    "GET",
    when={"query:hub.mode": "subscribe"},
    proof="query:hub.verify_token",
    json={"hub.challenge": "{query:hub.challenge}"},
)
# https://www.dropbox.com/developers/reference/webhooks
DROPBOX_CHALLENGE = Handshake("GET", when={"query:challenge": None}, text="{query:challenge}")
# https://developers.zoom.us/docs/api/webhooks/#validate-your-webhook-endpoint
ZOOM_VALIDATION = Handshake(
    "POST",
    when={"/event": "endpoint.url_validation"},
    signed=True,
    json={"plainToken": "{/payload/plainToken}", "encryptedToken": "{hex:/payload/plainToken}"},
)
# https://dev.twitch.tv/docs/eventsub/handling-webhook-events/#responding-to-a-challenge-request
TWITCH_CHALLENGE = Handshake(
    "POST",
    when={"header:Twitch-Eventsub-Message-Type": "webhook_callback_verification"},
    signed=True,
    text="{/challenge}",
)
# https://developers.asana.com/docs/webhooks-guide#the-webhook-handshake
ASANA_HOOK_SECRET = Handshake(
    "POST",
    when={"header:X-Hook-Secret": None},
    headers={"X-Hook-Secret": "{header:X-Hook-Secret}"},
    tells="header:X-Hook-Secret",
)
# https://developer.okta.com/docs/concepts/event-hooks/#one-time-verification-request
OKTA_VERIFICATION = Handshake(
    "GET",
    when={"header:X-Okta-Verification-Challenge": None},
    json={"verification": "{header:X-Okta-Verification-Challenge}"},
)
# https://developer.monday.com/api-reference/reference/webhooks#verifying-a-webhook-url
MONDAY_CHALLENGE = Handshake("POST", when={"/challenge": None}, json={"challenge": "{/challenge}"})
# https://developers.notion.com/reference/webhooks#step-2-verifying-the-subscription
NOTION_TOKEN = Handshake("POST", when={"/verification_token": None}, tells="/verification_token")
# https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md#4-abuse-protection
CLOUDEVENTS_ORIGIN = Handshake(
    "OPTIONS",
    when={"header:WebHook-Request-Origin": None},
    headers={"WebHook-Allowed-Origin": "{header:WebHook-Request-Origin}", "WebHook-Allowed-Rate": "*"},
)
# https://learn.microsoft.com/en-us/azure/event-grid/end-point-validation-event-grid-events-schema
EVENT_GRID_VALIDATION = Handshake(
    "POST",
    when={"header:aeg-event-type": "SubscriptionValidation"},
    json={"validationResponse": "{/0/data/validationCode}"},
)
# Trello and Mandrill ask with HEAD whether the address is there, Mailchimp with GET.
HEAD_CHECK = Handshake("HEAD")
GET_CHECK = Handshake("GET")
# https://developers.google.com/workspace/calendar/api/guides/push#sync-message
GOOGLE_SYNC = Handshake("POST", when={"header:X-Goog-Resource-State": "sync"}, signed=True)
# https://discord.com/developers/docs/interactions/overview#setting-up-an-endpoint-acknowledging-ping-requests
DISCORD_PING = Handshake("POST", when={"/type": "1"}, signed=True, json={"type": 1})
# https://docs.discord.com/developers/events/webhook-events#setting-up-an-endpoint
DISCORD_EVENT_PING = Handshake("POST", when={"/type": "0"}, signed=True, status=204)
# WooCommerce sends an unsigned form when a webhook is made.
WOOCOMMERCE_PING = Handshake(
    "POST", when={"header:Content-Type": "application/x-www-form-urlencoded", "/webhook_id": None}
)

HANDSHAKES: Mapping[str, Handshake] = {
    "asana": ASANA_HOOK_SECRET,
    "azure_event_grid": EVENT_GRID_VALIDATION,
    "dropbox": DROPBOX_CHALLENGE,
    "get": GET_CHECK,
    "meta": META_CHALLENGE,
    "microsoft_graph": GRAPH_VALIDATION,
    "monday": MONDAY_CHALLENGE,
    "notion": NOTION_TOKEN,
    "okta": OKTA_VERIFICATION,
    "slack": SLACK_CHALLENGE,
    "strava": STRAVA_CHALLENGE,
    "twitch": TWITCH_CHALLENGE,
    "zoom": ZOOM_VALIDATION,
}
"""The handshakes that a user can choose by these names, for a trigger that takes requests of any sender."""
