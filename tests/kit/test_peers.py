"""Other projects' libraries accept what our signer signs, and our verifiers accept what these libraries sign.

Each library also refuses a request with a changed byte. Which library is asked about which sender stands in peers.mjs;
`test_verify.py` asks Python libraries about a few more.
"""

import base64
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from hairtrigger.domain.errors import DocumentNeeded, Rejected
from hairtrigger.kit.incoming import Headers, Request
from hairtrigger.kit.senders import SENDERS
from hairtrigger.kit.sns import Sns
from hairtrigger.kit.verify import Token
from tests.kit.signing import Signed, signed_by_us
from tests.support.node import installed, run

LIBRARIES = (
    *("nuxt-webhook-validators@0.2.12", "@hookflo/tern@4.1.0", "twilio@6.3.1", "@sendgrid/eventwebhook@8.0.0"),
    *("discord-interactions@4.4.0", "@notionhq/client@5.26.0", "standardwebhooks@1.1.1", "svix@2.5.0"),
    *("razorpay@2.9.8", "@adyen/api-library@32.1.0", "sns-validator@0.3.5", "atlassian-jwt@2.0.3"),
    *("@octokit/webhooks-methods@6.0.0", "@workos-inc/node@11.0.0", "@linear/sdk@98.0.0", "box-node-sdk@10.12.0"),
    *("@hubspot/api-client@14.0.1", "coinbase-commerce-node@1.0.4", "gocardless-nodejs@10.1.2"),
)
SCRIPT = Path(__file__).with_name("peers.mjs").read_text()
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
URL = "https://hooks.example.com/w/01J?team=7"
# Some libraries check the JSON as they would write it themselves, so this is how JavaScript writes it.
BODY = '{"id":"evt_1","name":"Jürgen","note":"ü ✓","event":{"id":"1"},"events":[]}'.encode()
# These libraries leave the check of what is signed beside the body to others, or sign no part of the body.
UNBOUND = {"jira_connect", "gitlab", "telegram", "google"}


def ask(questions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(questions, file)
        file.flush()
        now = str(round(NOW.timestamp() * 1000))
        answered: dict[str, Any] = run(installed(*LIBRARIES), SCRIPT, file.name, now)
    return answered


def shown(request: Request, **more: str) -> dict[str, Any]:
    return {"url": request.url, "headers": dict(request.headers), "body": request.body.decode(errors="replace"), **more}


def accepts(name: str, request: Request, secret: str) -> bool:
    try:
        SENDERS[name].verify(request, [secret])
    except Rejected:
        return False
    return True


def sent(name: str) -> Signed:
    if isinstance(SENDERS[name].verify, Sns):
        return notification(NOW)[0]
    return signed_by_us(name, SENDERS[name].verify, BODY, NOW, URL)


def changed(request: Request) -> Request:
    """Return the request with one byte of its signed part changed."""
    old, new = next(
        pair
        for pair in ((b"evt_1", b"evt_2"), (b"Issue", b"Issuf"), (b"15550001", b"15550003"), (b"1130", b"1131"),
                     (b"happened", b"happenee"))
        if pair[0] in request.body
    )  # fmt: skip
    return replace(request, body=request.body.replace(old, new))


@pytest.fixture(scope="module")
def verdicts() -> dict[str, tuple[Any, Any, Any]]:
    """Return what each library says of a request of ours, of the same with a changed byte, and with another secret."""
    peers = ask([])["verify"]
    asked = []
    for peer in peers:
        one = sent(peer.partition(":")[0])
        certificate = {"certificate": notification(one.request.received_at)[1]} if "sns" in peer else {}
        other = sent(peer.partition(":")[0]).secret if "sendgrid" in peer or "discord" in peer else one.secret[::-1]
        asked += [
            {"peer": peer, "request": shown(one.request, **certificate), "secret": one.secret},
            {"peer": peer, "request": shown(changed(one.request), **certificate), "secret": one.secret},
            {"peer": peer, "request": shown(one.request, **certificate), "secret": other},
        ]
        assert accepts_ours(peer.partition(":")[0], one)
    said = ask(asked)["answers"]
    return {peer: (said[3 * n], said[3 * n + 1], said[3 * n + 2]) for n, peer in enumerate(peers)}


def accepts_ours(name: str, one: Signed) -> bool:
    return name == "aws_sns" or accepts(name, one.request, one.secret)


def test_every_library_accepts_what_we_sign(verdicts: dict[str, tuple[Any, Any, Any]]) -> None:
    assert {peer: said[0] for peer, said in verdicts.items() if said[0] is not True} == {}


def test_every_library_refuses_a_changed_byte(verdicts: dict[str, tuple[Any, Any, Any]]) -> None:
    bound = {peer: said for peer, said in verdicts.items() if peer.partition(":")[0] not in UNBOUND}

    assert {peer: said[1] for peer, said in bound.items() if said[1] is not False} == {}


def test_every_library_refuses_another_secret(verdicts: dict[str, tuple[Any, Any, Any]]) -> None:
    keyed = {peer: said for peer, said in verdicts.items() if "sns" not in peer}

    assert {peer: said[2] for peer, said in keyed.items() if said[2] is not False} == {}


def test_we_accept_what_the_libraries_sign_and_refuse_a_changed_byte() -> None:
    peers = ask([])["sign"]
    asked = [(peer, sent(peer.partition(":")[0])) for peer in peers]
    questions = [
        {"peer": peer, "request": shown(one.request), "secret": one.secret, "signed": True} for peer, one in asked
    ]
    for (peer, one), headers in zip(asked, ask(questions)["answers"], strict=True):
        name = peer.partition(":")[0]
        assert isinstance(headers, dict), headers
        request = replace(one.request, headers=Headers(headers.items()), received_at=NOW)
        assert accepts(name, request, one.secret), peer
        assert name in UNBOUND or not accepts(name, changed(request), one.secret), peer
        assert not accepts(name, request, one.secret[::-1]), peer


@pytest.mark.parametrize("name", [name for name, known in SENDERS.items() if not isinstance(known.verify, Sns)])
def test_our_signer_and_our_verifier_agree_about_every_sender(name: str) -> None:
    if isinstance(SENDERS[name].verify, Token) and SENDERS[name].verify.pointer:  # type: ignore[attr-defined]
        return
    one = sent(name)

    assert accepts(name, one.request, one.secret)
    assert not accepts(name, replace(one.request, headers=Headers(), body=b"{}"), one.secret)


# -- Amazon SNS, whose key stands in a certificate

TOPIC = "arn:aws:sns:us-east-1:123456789012:orders"
CERTIFICATE_URL = f"https://sns.us-east-1.amazonaws.com/SimpleNotificationService-{'0a' * 16}.pem"
KEY = rsa.generate_private_key(65537, 2048)


def certificate(start: datetime, key: rsa.RSAPrivateKey = KEY) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start - timedelta(days=1))
        .not_valid_after(start + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def notification(at: datetime, version: str = "2", **changes: str) -> tuple[Signed, str]:
    """Return a message that is signed as Amazon documents it, and its certificate."""
    message = {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Subject": "My subject",
        "Message": '{"it": "happened"}',
        "Timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "SignatureVersion": version,
        "SigningCertURL": CERTIFICATE_URL,
        **changes,
    }
    names = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    if message["Type"] != "Notification":
        del message["Subject"]
    text = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
    algorithm: hashes.HashAlgorithm = hashes.SHA256() if version == "2" else hashes.SHA1()
    signature = KEY.sign(text.encode(), padding.PKCS1v15(), algorithm)
    body = json.dumps({**message, "Signature": base64.b64encode(signature).decode()}).encode()
    headers = Headers([("content-type", "text/plain; charset=UTF-8")])
    return Signed(Request("POST", URL, headers, body, at), TOPIC), certificate(at).decode()


def known(one: Signed, document: bytes | str) -> Request:
    data = document.encode() if isinstance(document, str) else document
    return replace(one.request, documents={CERTIFICATE_URL: data})


@pytest.mark.parametrize(("name", "version"), [("aws_sns", "2"), ("aws_sns_sha1", "1")])
def test_a_message_of_sns_is_checked_with_its_certificate(name: str, version: str) -> None:
    one, document = notification(NOW, version)
    request = known(one, document)

    assert accepts(name, request, TOPIC)
    assert not accepts(name, request, TOPIC + "2")
    assert not accepts(name, replace(request, received_at=NOW + timedelta(hours=2)), TOPIC)
    for changed_body in (
        one.request.body.replace(b"happened", b"happenee"),
        one.request.body.replace(b"22b8", b"22b9"),
    ):
        assert not accepts(name, replace(request, body=changed_body), TOPIC)


def test_the_version_of_sns_s_signature_is_the_triggers_choice_and_not_the_messages() -> None:
    one, document = notification(NOW, "1")

    assert not accepts("aws_sns", known(one, document), TOPIC)


def test_another_key_s_certificate_and_one_that_is_not_valid_now_are_refused() -> None:
    one, _ = notification(NOW)
    stranger = rsa.generate_private_key(65537, 2048)

    for document in (certificate(NOW, stranger), certificate(NOW - timedelta(days=9)), b"", b"-----BEGIN"):
        assert not accepts("aws_sns", known(one, document), TOPIC)


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.us-east-1.amazonaws.com/SimpleNotificationService-" + "0a" * 16 + ".pem",
        "https://sns.us-east-1.amazonaws.com.evil.example/SimpleNotificationService-" + "0a" * 16 + ".pem",
        "https://evil.example/SimpleNotificationService-" + "0a" * 16 + ".pem",
        "https://sns.us-east-1.amazonaws.com@evil.example/SimpleNotificationService-" + "0a" * 16 + ".pem",
        "https://sns.us-east-1.amazonaws.com:444/SimpleNotificationService-" + "0a" * 16 + ".pem",
        "https://sns.us-east-1.amazonaws.com/a/SimpleNotificationService-" + "0a" * 16 + ".pem",
        "https://bucket.s3.amazonaws.com/SimpleNotificationService-" + "0a" * 16 + ".pem",
        CERTIFICATE_URL + "\n",
    ],
)
def test_no_certificate_is_asked_for_at_an_address_that_is_not_amazons(url: str) -> None:
    one, _ = notification(NOW, SigningCertURL=url)

    assert not accepts("aws_sns", one.request, TOPIC)


def test_a_certificate_that_is_not_there_is_asked_for_after_the_topic_is_known() -> None:
    one, _ = notification(NOW)

    with pytest.raises(DocumentNeeded) as needed:
        SENDERS["aws_sns"].verify(one.request, [TOPIC])
    assert needed.value.url == CERTIFICATE_URL
    with pytest.raises(Rejected):
        SENDERS["aws_sns"].verify(one.request, ["arn:aws:sns:us-east-1:1:other"])
