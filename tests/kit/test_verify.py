import base64
import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import stripe
from gidgethub import ValidationFailure
from gidgethub.sansio import validate_event
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.signature import SignatureVerifier
from standardwebhooks import Webhook, WebhookVerificationError

from hairtrigger.domain.errors import Rejected
from hairtrigger.kit.incoming import Headers, Request
from hairtrigger.kit.senders import SENDERS
from hairtrigger.kit.sns import Sns
from hairtrigger.kit.verify import (
    GITHUB,
    SHOPIFY,
    SLACK,
    STANDARD_WEBHOOKS,
    STRIPE,
    SVIX,
    Basic,
    Hmac,
    PublicKey,
    Scheme,
    Timestamp,
    Token,
    Verifier,
)

NOW = datetime.now(UTC).replace(microsecond=0)
BODY = '{"id":"evt_1","name":"J\\u00fcrgen","amount":1.0,"note":"ü ✓"}'.encode()
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
OTHER = "whsec_" + base64.b64encode(b"76543210fedcba9876543210").decode()


def delivery(
    headers: Mapping[str, str], body: bytes = BODY, *, at: datetime = NOW, url: str = "https://hooks.example.com/w/1"
) -> Request:
    return Request("POST", url, Headers(headers.items()), body, at)


def accepts(verifier: Verifier, request: Request, *secrets: str) -> bool:
    """Return False only for `Rejected`, and check that its message shows no secret."""
    try:
        verifier(request, secrets)
    except Rejected as rejection:
        shown = rejection.message
    else:
        return True
    assert not [secret for secret in secrets if len(secret) > 7 and secret in shown]
    return False


def epoch(moment: datetime) -> int:
    return int(moment.timestamp())


class Theirs:
    """A scheme as an independent library implements it: it verifies, and signs if the library can."""

    def sign(self, body: bytes, secret: str, at: datetime) -> dict[str, str]:
        raise NotImplementedError

    def accepts(self, body: bytes, headers: Mapping[str, str], secret: str) -> bool:
        raise NotImplementedError


class StandardWebhooksTheirs(Theirs):
    def sign(self, body: bytes, secret: str, at: datetime) -> dict[str, str]:
        return {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(epoch(at)),
            "webhook-signature": Webhook(secret).sign("msg_1", at, body.decode()),
        }

    def accepts(self, body: bytes, headers: Mapping[str, str], secret: str) -> bool:
        try:
            Webhook(secret).verify(body, dict(headers), json_parse=False)
        except (WebhookVerificationError, ValueError):
            return False
        return True


class StripeTheirs(Theirs):
    def sign(self, body: bytes, secret: str, at: datetime) -> dict[str, str]:
        header = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, epoch(at))
        return {"Stripe-Signature": header}

    def accepts(self, body: bytes, headers: Mapping[str, str], secret: str) -> bool:
        try:
            return bool(stripe.WebhookSignature.verify_header(body, headers["Stripe-Signature"], secret, 300))
        except (stripe.SignatureVerificationError, ValueError):
            return False


class SlackTheirs(Theirs):
    def sign(self, body: bytes, secret: str, at: datetime) -> dict[str, str]:
        signature = SignatureVerifier(secret).generate_signature(timestamp=str(epoch(at)), body=body)
        return {"X-Slack-Request-Timestamp": str(epoch(at)), "X-Slack-Signature": str(signature)}

    def accepts(self, body: bytes, headers: Mapping[str, str], secret: str) -> bool:
        try:
            return SignatureVerifier(secret).is_valid_request(body, dict(headers))
        except ValueError:
            return False


class GithubTheirs(Theirs):
    """gidgethub can only verify, so the code under test signs the requests that gidgethub verifies."""

    def sign(self, body: bytes, secret: str, at: datetime) -> dict[str, str]:
        return signed_by_us(GITHUB, body, secret, at)

    def accepts(self, body: bytes, headers: Mapping[str, str], secret: str) -> bool:
        try:
            validate_event(body, signature=headers["X-Hub-Signature-256"], secret=secret)
        except ValidationFailure:
            return False
        return True


class AnyTime(Timestamp):
    def within(self, text: str, now: datetime) -> bool:
        return True


def signed_by_us(verifier: Hmac, body: bytes, secret: str, at: datetime, time: str | None = None) -> dict[str, str]:
    """Return the headers of a request, signed with the verifier's own parts; `time` may be any text."""
    time, clock = str(epoch(at)) if time is None else time, verifier.timestamp
    headers = {verifier.header: f"{clock.prefix}{time}{verifier.separator}" if clock and not clock.header else ""}
    if clock and clock.header:
        headers[clock.header] = time
    if verifier.id_header:
        headers[verifier.id_header] = "msg_1"
    elements = [f"{clock.prefix}{time}"] if clock and not clock.header else []
    untimed = replace(verifier, timestamp=AnyTime(clock.header, prefix=clock.prefix)) if clock else verifier
    message = untimed._signed_message(delivery(headers, body, at=at), elements)
    headers[verifier.header] += verifier.prefix + verifier._signature(verifier._key(secret), message).decode()
    return headers


@dataclass(frozen=True)
class Peer:
    ours: Hmac
    theirs: Theirs


PEERS = {
    "standardwebhooks": Peer(STANDARD_WEBHOOKS, StandardWebhooksTheirs()),
    "stripe": Peer(STRIPE, StripeTheirs()),
    "slack_sdk": Peer(SLACK, SlackTheirs()),
    "gidgethub": Peer(GITHUB, GithubTheirs()),
}
TIMED = ["standardwebhooks", "stripe", "slack_sdk"]
each_peer = pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS.keys())
each_timed_peer = pytest.mark.parametrize("peer", [PEERS[name] for name in TIMED], ids=TIMED)


@each_peer
@given(body=st.text().map(str.encode), secret=st.binary(min_size=1, max_size=80))
def test_what_they_sign_we_accept_and_what_we_sign_they_accept(peer: Peer, body: bytes, secret: bytes) -> None:
    text = "whsec_" + base64.b64encode(secret).decode()

    now = datetime.now(UTC).replace(microsecond=0)  # the other libraries read the real clock themselves
    assert accepts(peer.ours, delivery(peer.theirs.sign(body, text, now), body, at=now), text)
    assert peer.theirs.accepts(body, signed_by_us(peer.ours, body, text, now), text)


@each_peer
def test_a_changed_byte_of_the_body_is_refused(peer: Peer) -> None:
    headers = peer.theirs.sign(BODY, SECRET, NOW)

    for position in range(len(BODY)):
        changed = BODY[:position] + bytes([BODY[position] ^ 1]) + BODY[position + 1 :]
        assert not accepts(peer.ours, delivery(headers, changed), SECRET)


@each_peer
def test_a_changed_character_of_any_header_is_refused(peer: Peer) -> None:
    headers = peer.theirs.sign(BODY, SECRET, NOW)

    for name, value in headers.items():
        for position, character in enumerate(value):
            changed = value[:position] + ("b" if character in "aA" else "a") + value[position + 1 :]
            assert not accepts(peer.ours, delivery({**headers, name: changed}), SECRET), changed


@each_peer
def test_a_missing_or_an_empty_header_is_refused_by_name(peer: Peer) -> None:
    headers = peer.theirs.sign(BODY, SECRET, NOW)

    for missing in headers:
        present = {name: value for name, value in headers.items() if name != missing}
        for request in (delivery(present), delivery({**present, missing: ""})):
            with pytest.raises(Rejected, match=missing):
                peer.ours(request, [SECRET])


@each_peer
def test_a_wrong_an_empty_and_an_absent_secret_are_refused(peer: Peer) -> None:
    request = delivery(peer.theirs.sign(BODY, SECRET, NOW))

    assert not accepts(peer.ours, request, OTHER)
    assert not accepts(peer.ours, request)
    for empty in ("", " ", "whsec_"):
        assert not accepts(peer.ours, request, empty)
    assert not accepts(peer.ours, request, "", SECRET)


def test_a_secret_that_is_nothing_but_its_prefix_never_vouches() -> None:
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(epoch(NOW))}
    digest = hmac.digest(b"", f"msg_1.{epoch(NOW)}.".encode() + BODY, "sha256")
    headers["webhook-signature"] = "v1," + base64.b64encode(digest).decode()

    assert not accepts(STANDARD_WEBHOOKS, delivery(headers), "whsec_")


@each_peer
def test_any_live_secret_may_vouch(peer: Peer) -> None:
    request = delivery(peer.theirs.sign(BODY, SECRET, NOW))

    assert accepts(peer.ours, request, OTHER, SECRET)
    assert accepts(peer.ours, request, SECRET, OTHER)


def test_a_secret_given_as_one_string_is_refused_rather_than_read_letter_by_letter() -> None:
    request = delivery(signed_by_us(GITHUB, BODY, "w", NOW))

    assert accepts(GITHUB, request, "w")
    with pytest.raises(Rejected):
        GITHUB(request, "whsec")


@each_timed_peer
def test_a_signed_time_may_not_be_changed(peer: Peer) -> None:
    headers = peer.theirs.sign(BODY, SECRET, NOW)
    time, later = str(epoch(NOW)), str(epoch(NOW) + 1)

    changed = {name: value.replace(time, later) for name, value in headers.items()}

    assert changed != headers
    assert not accepts(peer.ours, delivery(changed), SECRET)


@each_timed_peer
@pytest.mark.parametrize("direction", [-1, 1])
def test_the_replay_window_has_both_sides(peer: Peer, direction: int) -> None:
    request = delivery(peer.theirs.sign(BODY, SECRET, NOW))
    edge = direction * timedelta(minutes=5)

    assert accepts(peer.ours, replace(request, received_at=NOW + edge), SECRET)
    assert not accepts(peer.ours, replace(request, received_at=NOW + edge + direction * timedelta(seconds=1)), SECRET)


@pytest.mark.parametrize("form", ["+{}", "-{}", "{}.0", "{}_0", "0x{}", "{}e0", "{}²", "nan", "inf", "2026-01-02"])
@each_timed_peer
def test_what_is_no_time_in_digits_is_refused_even_where_it_is_signed(peer: Peer, form: str) -> None:
    headers = signed_by_us(peer.ours, BODY, SECRET, NOW, form.format(epoch(NOW)))

    assert not accepts(peer.ours, delivery(headers), SECRET)


@each_timed_peer
def test_a_time_of_too_many_digits_is_refused(peer: Peer) -> None:
    for time in ("9" * 15, "9" * 16, "9" * 5000, "0" * 10 + str(epoch(NOW))):
        headers = signed_by_us(peer.ours, BODY, SECRET, NOW, time)
        assert not accepts(peer.ours, delivery(headers), SECRET)


def test_while_a_stripe_secret_is_rolled_the_order_of_the_two_signatures_is_free() -> None:
    old, new = (StripeTheirs().sign(BODY, secret, NOW)["Stripe-Signature"] for secret in (OTHER, SECRET))
    time, old_v1, new_v1 = old.split(",")[0], old.split(",")[1], new.split(",")[1]

    for elements in ([time, old_v1, new_v1], [time, new_v1, old_v1], [new_v1, time, old_v1]):
        request = delivery({"Stripe-Signature": ",".join(elements)})
        assert accepts(STRIPE, request, SECRET)
        assert accepts(STRIPE, request, OTHER)
        assert not accepts(STRIPE, request, "neither")


def test_standard_webhooks_may_carry_several_signatures_of_several_versions() -> None:
    headers = StandardWebhooksTheirs().sign(BODY, SECRET, NOW)
    ours = headers["webhook-signature"]
    stranger = StandardWebhooksTheirs().sign(BODY, OTHER, NOW)["webhook-signature"]

    for several in (
        f"{stranger} {ours}",
        f"{ours} {stranger}",
        f"v1a,AAAA {ours}",
        f"garbage {ours}",
        f"v1,a,b {ours}",
    ):
        assert accepts(STANDARD_WEBHOOKS, delivery({**headers, "webhook-signature": several}), SECRET)
    for none in (stranger, "garbage", "v1,notb64!", "v1,a,b", "v1,", "v1", ours.replace("v1,", "v1a,"), ours[3:]):
        assert not accepts(STANDARD_WEBHOOKS, delivery({**headers, "webhook-signature": none}), SECRET)


def test_svix_is_standard_webhooks_under_its_older_names_and_they_do_not_mix() -> None:
    headers = StandardWebhooksTheirs().sign(BODY, SECRET, NOW)
    renamed = {name.replace("webhook", "svix"): value for name, value in headers.items()}

    assert accepts(SVIX, delivery(renamed), SECRET)
    assert not accepts(SVIX, delivery(headers), SECRET)
    assert not accepts(STANDARD_WEBHOOKS, delivery({**renamed, "webhook-id": "msg_1"}), SECRET)


def test_a_standard_webhooks_secret_may_lack_its_prefix_and_its_padding() -> None:
    secret = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789").decode()
    request = delivery(StandardWebhooksTheirs().sign(BODY, secret, NOW))

    assert accepts(STANDARD_WEBHOOKS, request, secret.removeprefix("whsec_"))
    assert accepts(STANDARD_WEBHOOKS, request, secret.rstrip("="))


def test_a_secret_that_is_not_wholly_base64_is_refused_rather_than_guessed() -> None:
    request = delivery(StandardWebhooksTheirs().sign(BODY, SECRET, NOW))
    mistyped = SECRET[:10] + "!" + SECRET[10:]

    assert base64.b64decode(mistyped.removeprefix("whsec_")) == base64.b64decode(SECRET.removeprefix("whsec_"))
    assert not accepts(STANDARD_WEBHOOKS, request, mistyped)


def test_the_algorithm_is_never_the_senders_choice() -> None:
    sha1 = replace(GITHUB, algorithm="sha1", prefix="sha1=")
    headers = signed_by_us(sha1, BODY, SECRET, NOW)

    assert accepts(sha1, delivery(headers), SECRET)
    assert not accepts(GITHUB, delivery(headers), SECRET)
    assert not accepts(GITHUB, delivery({GITHUB.header: headers[GITHUB.header].replace("sha1", "sha256")}), SECRET)


def test_a_signature_header_sent_twice_is_refused_where_one_is_expected() -> None:
    signature = signed_by_us(GITHUB, BODY, SECRET, NOW)[GITHUB.header]
    twice = Headers([("X-Hub-Signature-256", signature), ("x-hub-signature-256", signature)])

    assert not accepts(GITHUB, replace(delivery({}), headers=twice), SECRET)


def test_two_times_in_one_header_are_refused() -> None:
    header = StripeTheirs().sign(BODY, SECRET, NOW)["Stripe-Signature"]

    assert not accepts(STRIPE, delivery({"Stripe-Signature": f"t=1,{header}"}), SECRET)
    assert not accepts(STRIPE, delivery({"Stripe-Signature": f"{header},t=1"}), SECRET)


def test_base64_with_the_same_bytes_but_another_spelling_is_refused() -> None:
    value = signed_by_us(SHOPIFY, BODY, SECRET, NOW)[SHOPIFY.header]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    respelt = value[:-2] + alphabet[alphabet.index(value[-2]) ^ 1] + "="

    assert base64.b64decode(respelt) == base64.b64decode(value)
    assert accepts(SHOPIFY, delivery({SHOPIFY.header: value}), SECRET)
    assert not accepts(SHOPIFY, delivery({SHOPIFY.header: respelt}), SECRET)


def test_the_vector_of_githubs_documentation() -> None:
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    request = delivery({"X-Hub-Signature-256": signature}, b"Hello, World!")

    assert accepts(GITHUB, request, "It's a Secret to Everybody")


def test_the_vector_of_slacks_documentation() -> None:
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = {
        "X-Slack-Request-Timestamp": "1531420618",
        "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    }
    request = delivery(headers, body, at=datetime.fromtimestamp(1531420618, UTC))

    assert accepts(SLACK, request, "8f742231b10e8888abcd99yyyzzz85a5")


def test_the_vector_of_the_standard_webhooks_specification() -> None:
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    request = delivery(headers, b'{"test": 2432232314}', at=datetime.fromtimestamp(1614265330, UTC))

    assert accepts(STANDARD_WEBHOOKS, request, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")


# All schemes: those of the known senders, and what else the grammar must express. Other code, in another language, made
# their vectors.json from the formulas in the providers' documentation.
SCHEMES: dict[str, Verifier] = {
    **{name: known.verify for name, known in SENDERS.items() if not isinstance(known.verify, Sns)},
    "hex_key": Hmac("X-Signature", key="hex"),
    "rsa": PublicKey("X-Signature", algorithm="rsa_sha256", encoding="base64"),
    "bearer": Token("Authorization", prefix="Bearer "),
    "query_token": Token(query="token"),
}
VECTORS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("vectors.json").read_text())
each_vector = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["provider"])
SIGNED = [vector for vector in VECTORS if not isinstance(SCHEMES[vector["provider"]], Token | Basic)]
# What these sign leaves a part of the body out: Mailgun's time and token, Adyen's eight fields, Atlassian's address.
IN_PART = {"mailgun", "adyen", "jira_connect", "jira_oauth"}
WHOLLY = [vector for vector in SIGNED if vector["provider"] not in IN_PART]


def recorded(vector: Mapping[str, Any]) -> Request:
    at = datetime.fromtimestamp(vector["received_at"], UTC)
    return delivery(vector["headers"], vector["body"].encode(), at=at, url=vector["url"])


def test_every_scheme_has_a_vector() -> None:
    assert [vector["provider"] for vector in VECTORS] == list(SCHEMES)


@each_vector
def test_a_delivery_signed_by_independent_code_is_accepted(vector: dict[str, Any]) -> None:
    assert accepts(SCHEMES[vector["provider"]], recorded(vector), vector["secret"])


@each_vector
def test_every_scheme_refuses_another_secret_and_none(vector: dict[str, Any]) -> None:
    verifier, request = SCHEMES[vector["provider"]], recorded(vector)

    assert not accepts(verifier, request, vector["secret"][:-4] + "abcd")
    assert not accepts(verifier, request)
    assert not accepts(verifier, request, "")
    assert not accepts(verifier, request, vector["secret"], "")
    assert not accepts(verifier, replace(request, headers=Headers(), url="", body=b""), vector["secret"])


@pytest.mark.parametrize("vector", WHOLLY, ids=lambda vector: vector["provider"])
def test_every_signature_covers_the_whole_body(vector: dict[str, Any]) -> None:
    verifier, request = SCHEMES[vector["provider"]], recorded(vector)

    for body in (b"", request.body + b" ", request.body[1:], *changed_bytes(request.body)):
        assert not accepts(verifier, replace(request, body=body), vector["secret"]), body


def changed_bytes(body: bytes) -> Iterator[bytes]:
    for position in range(len(body)):
        yield body[:position] + bytes([body[position] ^ 1]) + body[position + 1 :]


@pytest.mark.parametrize("vector", SIGNED, ids=lambda vector: vector["provider"])
def test_every_character_of_what_proves_a_delivery_counts(vector: dict[str, Any]) -> None:
    """A changed character of a header that the verifier reads is refused, and so is one of the signed URL."""
    verifier, request = SCHEMES[vector["provider"]], recorded(vector)
    assert isinstance(verifier, Scheme)
    read = {place.removeprefix("header:") for place in verifier.reads if place.startswith("header:")}
    for name in read & set(request.headers):
        value = OTHER_VERSIONS.sub("", request.headers[name])
        for position, character in enumerate(value if name not in OTHER_KEYS else ""):
            changed = value[:position] + ("b" if character in "aA" else "a") + value[position + 1 :]
            fields = {**request.headers, name: changed}
            assert not accepts(verifier, replace(request, headers=Headers(fields.items())), vector["secret"]), changed


OTHER_VERSIONS = re.compile(r"(,v0=|v1=)0{64},?|v1a?,AAAA ")
OTHER_KEYS = {"box-signature-primary", "x-docusign-signature-1"}


ADYEN_FORGED = [
    (b'"value":1130', b'"value":1131'),
    (b'"success":"true"', b'"success":"false"'),
    (b'"pspReference":"7914073381342284"', b'"pspReference":"7914073381342285"'),
    (b'"notificationItems":[', b'"notificationItems":[{"NotificationRequestItem":{}},'),
    (b'"value":1130', b'"value":1130.0'),
]


@pytest.mark.parametrize(("old", "new"), ADYEN_FORGED)
def test_adyen_s_signed_fields_may_not_differ_and_nothing_comes_beside_them(old: bytes, new: bytes) -> None:
    (vector,) = (vector for vector in VECTORS if vector["provider"] == "adyen")
    request = recorded(vector)
    forged = request.body.replace(old, new)

    assert forged != request.body
    assert not accepts(SCHEMES["adyen"], replace(request, body=forged), vector["secret"])


def test_mailgun_s_time_and_token_may_not_differ() -> None:
    (vector,) = (vector for vector in VECTORS if vector["provider"] == "mailgun")
    request = recorded(vector)

    for old, new in ((b"0f5a1bc2", b"0f5a1bc3"), (b"1767323045", b"1767323046")):
        assert not accepts(SCHEMES["mailgun"], replace(request, body=request.body.replace(old, new)), vector["secret"])
    late = replace(request, received_at=request.received_at + timedelta(hours=1, seconds=1))
    assert not accepts(SCHEMES["mailgun"], late, vector["secret"])


def test_every_item_of_a_graph_notification_must_hold_the_client_state() -> None:
    graph, state = SCHEMES["microsoft_graph"], "a state"
    good, bad = {"clientState": state}, {"clientState": "other"}

    assert accepts(graph, delivery({}, json.dumps({"value": [good, good]}).encode()), state)
    for items in ([], [good, bad], [bad], [good, {}], [good, {"clientState": None}], {"clientState": state}):
        assert not accepts(graph, delivery({}, json.dumps({"value": items}).encode()), state), items


def test_a_late_and_an_early_time_are_told_apart_with_their_lengths() -> None:
    headers = StripeTheirs().sign(BODY, SECRET, NOW)

    with pytest.raises(Rejected, match=r"is 1 hour behind our clock; 5 minutes are allowed. The delivery is late, or"):
        STRIPE(delivery(headers, at=NOW + timedelta(hours=1)), [SECRET])
    with pytest.raises(Rejected, match=r"is 5 minutes 1 second ahead of our clock; .* The sender's clock is wrong"):
        STRIPE(delivery(headers, at=NOW - timedelta(minutes=5, seconds=1)), [SECRET])


def test_more_signatures_than_senders_have_secrets_are_not_tried() -> None:
    """A signature of a public key takes a tenth of a millisecond to check."""
    headers = dict(StandardWebhooksTheirs().sign(BODY, SECRET, NOW))
    headers["webhook-signature"] = " ".join(["v1,AAAA"] * 16 + [headers["webhook-signature"]])

    with pytest.raises(Rejected, match="more than 16 signatures"):
        STANDARD_WEBHOOKS(delivery(headers), [SECRET])


@pytest.mark.parametrize("name", ["square", "trello", "hubspot"])
def test_a_signed_url_may_not_differ(name: str) -> None:
    (vector,) = (vector for vector in VECTORS if vector["provider"] == name)
    request = recorded(vector)

    assert not accepts(SCHEMES[name], replace(request, url=request.url + "&more=1"), vector["secret"])


def test_a_signed_id_may_not_differ() -> None:
    headers = StandardWebhooksTheirs().sign(BODY, SECRET, NOW)

    assert not accepts(STANDARD_WEBHOOKS, delivery({**headers, "webhook-id": "msg_2"}), SECRET)


def test_an_iso_time_without_a_zone_is_utc() -> None:
    box = SCHEMES["box"]
    assert isinstance(box, Hmac)
    headers = {"Box-Delivery-Timestamp": NOW.replace(tzinfo=None).isoformat()}
    message = BODY + headers["Box-Delivery-Timestamp"].encode()
    headers[box.header] = box._signature(SECRET.encode(), message).decode()

    assert accepts(box, delivery(headers), SECRET)
    assert not accepts(box, delivery(headers, at=NOW + timedelta(minutes=11)), SECRET)


def test_a_token_in_the_query_is_refused_when_it_is_there_twice() -> None:
    once, twice = "https://hooks.example.com/?token=abc", "https://hooks.example.com/?token=abc&token=abc"

    assert accepts(Token(query="token"), delivery({}, url=once), "abc")
    assert accepts(Token(query="token"), delivery({}, url=once), "xyz", "abc")
    assert not accepts(Token(query="token"), delivery({}, url=twice), "abc")
    assert not accepts(Token(query="token"), delivery({"token": "abc"}, url="https://hooks.example.com/"), "abc")


def test_a_token_is_compared_as_the_bytes_that_arrived() -> None:
    arrived = "pässwörd".encode().decode("latin-1")

    assert accepts(Token("X-Token"), delivery({"X-Token": arrived}), "pässwörd")
    assert not accepts(Token("X-Token"), delivery({"X-Token": "password"}), "pässwörd")
    assert not accepts(Token("X-Token"), delivery({"X-Token": arrived[:-1]}), "pässwörd")
    assert not accepts(Token("X-Token"), delivery({"X-Token": arrived + "d"}), "pässwörd")


@pytest.mark.parametrize(
    "verifier", [Token("X-Value"), Hmac("X-Value"), Basic()], ids=lambda verifier: type(verifier).__name__
)
def test_characters_that_http_does_not_carry_are_refused(verifier: Verifier) -> None:
    assert not accepts(verifier, delivery({"X-Value": "€", "Authorization": "Basic €"}), "€")


@pytest.mark.parametrize(
    "value", ["", "Basic", "Basic ", "Basic !", "Bearer dTpw", "dTpw", "Basic dTpx", "Basic dTpw dTpw", "Basic u:p"]
)
def test_basic_credentials_must_be_the_whole_pair(value: str) -> None:
    assert accepts(Basic(), delivery({"authorization": "basic dTpw"}), "u:p")
    assert accepts(Basic(), delivery({"authorization": "Basic dTpw"}), "old:one", "u:p")
    assert not accepts(Basic(), delivery({"Authorization": value}), "u:p")


MISTAKES: Sequence[dict[str, Any]] = [
    {"message": "{timestamp}"},
    {"message": "no body"},
    {"message": "{body}{nonsense}"},
    {"message": "{timestamp}.{body}"},
    {"message": "{id}.{body}"},
    {"timestamp": Timestamp("X-Time")},
    {"id_header": "X-Id"},
    {"message": "{timestamp}.{body}", "timestamp": Timestamp()},
    {"message": "{timestamp}.{body}", "timestamp": Timestamp(prefix="t=")},
    {"message": "{timestamp}.{body}", "timestamp": Timestamp(), "separator": ","},
    {"message": "{body}" * 2},  # each {body} would copy up to a megabyte
    {"message": "{url}{body}{url}"},
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_scheme_that_would_protect_less_than_it_says_can_not_be_written(mistake: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Hmac("X-Signature", **mistake)


def test_a_token_has_exactly_one_place() -> None:
    with pytest.raises(ValueError):
        Token()
    with pytest.raises(ValueError):
        Token("X-Token", query="token")


ANY_TEXT = st.text(st.characters(codec=None), max_size=40) | st.sampled_from(
    [
        "t=1,v1=",
        "v1,",
        "v1,a,b",
        "sha256=",
        "v0=é",
        "Basic ÿ",
        "Bearer \ud800",
        "1",
        "2026-01-01T00:00:00+99:99",
        "9999",
    ]
)
NAMES = sorted(
    {place.removeprefix("header:") for one in SCHEMES.values() if isinstance(one, Scheme) for place in one.reads}
)


ANY_HEADERS = st.dictionaries(st.sampled_from(NAMES), ANY_TEXT) | st.fixed_dictionaries(dict.fromkeys(NAMES, ANY_TEXT))
ANY_URL = ANY_TEXT | ANY_TEXT.map(lambda text: f"https://hooks.example.com/?token={text}")
ANY_REQUEST = st.builds(
    Request,
    method=ANY_TEXT,
    url=ANY_URL,
    headers=ANY_HEADERS.map(lambda fields: Headers(fields.items())),
    body=st.binary(),
    received_at=st.datetimes(timezones=st.just(UTC)),
)


@given(verifier=st.sampled_from(list(SCHEMES.values())), request=ANY_REQUEST, secrets=st.lists(ANY_TEXT, max_size=3))
def test_whatever_arrives_is_rejected_and_never_breaks(
    verifier: Verifier, request: Request, secrets: list[str]
) -> None:
    try:
        verifier(request, secrets)
    except Rejected:
        return
    # Only a token can be guessed: it was drawn for both the request and the secrets.
    assert isinstance(verifier, Token)


@given(position=st.integers(0), junk=st.binary(min_size=1, max_size=3), vector=st.sampled_from(SIGNED))
def test_a_genuine_delivery_with_junk_in_a_header_is_rejected_and_never_breaks(
    position: int, junk: bytes, vector: dict[str, Any]
) -> None:
    verifier, request = SCHEMES[vector["provider"]], recorded(vector)
    assert isinstance(verifier, Scheme)
    for place in sorted(verifier.reads):
        name = place.removeprefix("header:")
        value = request.headers.get(name, "x")
        at = position % len(value)
        fields = {**request.headers, name: value[:at] + junk.decode("latin-1") + value[at:]}
        accepts(verifier, replace(request, headers=Headers(fields.items())), vector["secret"])


UNREADABLE = {
    "form": ("application/x-www-form-urlencoded", b"a=1&" * 10_001),
    "parts": ("multipart/form-data; boundary=x", b"--x\r\n\r\n"),
    "json": ("application/json", b'{"a":' + b"[[],[]]," * 200_000 + b"[]]}"),
}
OF_A_BODY = {
    "token": Token(pointer="/key"),
    "tokens": Token(pointer="/value/*/key"),
    "signature": Hmac("/signature", message="{/id}", partial=True),
    "part": Hmac("X-Signature", message="{/id}", partial=True),
    "single": Hmac("X-Signature", message="{/items/0/id}", partial=True, single="/items"),
    "form": Hmac("X-Signature", message="{url}{form}"),
    "digest": Hmac("X-Signature", message="{url}", body_digest="/digest"),
    "time": Hmac("X-Signature", message="{body}", timestamp=Timestamp("/time")),
    "sns": Sns(),
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("verifier", OF_A_BODY.values(), ids=OF_A_BODY)
def test_a_body_that_can_not_be_read_proves_no_sender(verifier: Scheme, body: tuple[str, bytes]) -> None:
    content_type, content = body
    request = delivery({"content-type": content_type, "x-signature": "00"}, content)
    assert not accepts(verifier, request, "arn:aws:sns:eu-west-1:123456789012:topic")


def test_headers_have_no_case_and_keep_their_values_out_of_sight() -> None:
    headers = Headers([("X-One", "a"), ("x-one", "b"), ("X-Two", "c")])
    request = Request("POST", "https://hooks.example.com/?token=secret", headers, b"body", NOW)

    assert headers["x-ONE"] == "a, b"
    assert dict(headers) == {"x-one": "a, b", "x-two": "c"}
    assert "X-Two" in headers
    assert len(headers) == 2
    assert repr(headers) == "Headers(x-one, x-two)"
    assert "secret" not in repr(request)
    assert "body" not in repr(request)


def test_query_parameters_are_decoded_and_none_is_lost() -> None:
    request = delivery({}, url="https://hooks.example.com/w?a=1%202&b=&a=x+y#?a=no")

    assert request.query("a") == ["1 2", "x y"]
    assert request.query("b") == [""]
    assert request.query("c") == []
