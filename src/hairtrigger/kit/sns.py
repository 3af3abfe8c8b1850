"""Verifies messages of Amazon SNS, which are signed with a key whose certificate Amazon publishes.

Every customer of Amazon can make SNS send a message with a good signature. So a trigger must name its topic, and its
secret is the topic's ARN.
https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message-verify-message-signature.html
"""

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from hairtrigger.domain.errors import DocumentNeeded, Rejected
from hairtrigger.domain.json_reader import read_json
from hairtrigger.kit.handshake import Handshake
from hairtrigger.kit.incoming import Request
from hairtrigger.kit.verify import Scheme, Timestamp, live_secrets, require_timely

_HOST = r"https://sns\.[a-z0-9-]{1,40}\.amazonaws\.com(?:\.cn)?"
_CERTIFICATE = re.compile(_HOST + r"/SimpleNotificationService-[0-9a-f]{32}\.pem")
_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]+:[A-Za-z0-9_.-]+")
_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED = {
    "Notification": _NOTIFICATION,
    "SubscriptionConfirmation": _CONFIRMATION,
    "UnsubscribeConfirmation": _CONFIRMATION,
}
_VERSIONS = {"sha256": "2", "sha1": "1"}
_SMALLEST_KEY, _LARGEST_KEY = 2048, 8192

CONFIRMATION = Handshake(
    "POST", when={"/Type": "SubscriptionConfirmation"}, signed=True, visit="/SubscribeURL", visited=_HOST + r"/\?[!-~]+"
)


@dataclass(frozen=True)
class Sns(Scheme):
    """A verifier of SNS messages. It checks the topic, the time and the signature of a message, and raises `Rejected`
    if one is wrong.

    The certificate at the message's `SigningCertURL`, an address of Amazon SNS, must be one of the request's documents.
    Raises `DocumentNeeded` if it is not there yet.
    """

    algorithm: Literal["sha1", "sha256"] = "sha256"
    tolerance: timedelta = timedelta(hours=1)  # SNS tries for so long with its usual policy

    def __call__(self, request: Request, secrets: Sequence[str]) -> None:
        topics = [topic.encode(errors="surrogatepass") for topic in live_secrets(secrets, "the topic")]
        message = _message(request)
        if not any(hmac.compare_digest(topic, _text(message, "TopicArn").encode()) for topic in topics):
            raise Rejected("The message is of another topic than the trigger's secret names.")
        if message.get("SignatureVersion") != _VERSIONS[self.algorithm]:
            raise Rejected(
                f"The message is not signed with {self.algorithm}: SignatureVersion is not {_VERSIONS[self.algorithm]}."
            )
        require_timely(
            Timestamp("/Timestamp", unit="iso", tolerance=self.tolerance), _text(message, "Timestamp"), request
        )
        key = self._key(request, _text(message, "SigningCertURL"))
        try:
            signature = base64.b64decode(_text(message, "Signature"), validate=True)
        except ValueError:
            signature = b""
        digest = hashes.SHA256() if self.algorithm == "sha256" else hashes.SHA1()  # noqa: S303 what SNS signs with
        try:
            key.verify(signature, _signed(message), padding.PKCS1v15(), digest)
        except InvalidSignature:
            raise Rejected("The signature does not match: the message was changed on its way.") from None

    @property
    def reads(self) -> frozenset[str]:
        return frozenset({"/Signature"})

    @property
    def is_timed(self) -> bool:
        return True

    def signed_time(self, request: Request) -> str | None:
        with suppress(Rejected):
            return _text(_message(request), "Timestamp")
        return None

    def fault(self, secret: str) -> str | None:
        return None if _TOPIC.fullmatch(secret) else "It is not the ARN of an SNS topic, which is the secret here."

    def signed(self, request: Request) -> bytes:
        with suppress(Rejected):  # an API key has proved the request, which then need not be a message
            return _signed(_message(request))
        return request.body

    def _key(self, request: Request, url: str) -> rsa.RSAPublicKey:
        if not _CERTIFICATE.fullmatch(url):
            raise Rejected("The message names a certificate that is not one of Amazon SNS.")
        document = request.documents.get(url)
        if document is None:
            raise DocumentNeeded(url)
        try:
            certificate = x509.load_pem_x509_certificate(document)
        except ValueError:
            raise Rejected("The certificate of the message can't be read.") from None
        if not certificate.not_valid_before_utc <= request.received_at <= certificate.not_valid_after_utc:
            raise Rejected("The certificate of the message is not valid now.")
        key = certificate.public_key()
        if not isinstance(key, rsa.RSAPublicKey) or not _SMALLEST_KEY <= key.key_size <= _LARGEST_KEY:
            raise Rejected("The certificate of the message has no RSA key.")
        return key


def _message(request: Request) -> Mapping[str, Any]:
    try:
        found = read_json(request.body)
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("Type") not in _SIGNED:
        raise Rejected("The body is no message of Amazon SNS.")
    return found


def _text(message: Mapping[str, Any], name: str) -> str:
    value = message.get(name)
    if not isinstance(value, str):
        raise Rejected(f"The message has no {name}.")
    return value


def _signed(message: Mapping[str, Any]) -> bytes:
    names = [name for name in _SIGNED[message["Type"]] if name != "Subject" or message.get(name) is not None]
    return "".join(f"{name}\n{_text(message, name)}\n" for name in names).encode(errors="surrogatepass")
