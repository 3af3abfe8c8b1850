"""A sender for every scheme that the table of known senders describes: it signs what the verifier must accept.

The signer is made of the verifier's own parts. So it says nothing about their truth by itself: other projects'
libraries must accept what it signs.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from hairtrigger.kit.incoming import Headers, Request
from hairtrigger.kit.verify import Basic, Hmac, PublicKey, Scheme, Signature, Timestamp, Token
from hairtrigger.kit.web_token import WebToken, _query_hashes

FORM = b"To=%2B15550001&From=%2B15550002&Body=caf%C3%A9+%26+co&MessageSid=SM1"
ADYEN = {
    "pspReference": "7914073381342284",
    "merchantAccountCode": "TestMerchant",
    "merchantReference": "TestPayment",
    "amount": {"value": 1130, "currency": "EUR"},
    "eventCode": "AUTHORISATION",
    "success": "true",
}


class AnyTime(Timestamp):
    def within(self, text: str, now: datetime) -> bool:
        return True


@dataclass(frozen=True)
class Signed:
    """A request as its sender signs it, and the secret with which its receiver checks it."""

    request: Request
    secret: str


def body_for(name: str, at: datetime, body: bytes) -> bytes:
    """Return a body of the kind that the sender signs."""
    match name:
        case "twilio" | "mandrill":
            return FORM
        case "linear":
            return json.dumps({"type": "Issue", "webhookTimestamp": round(at.timestamp() * 1000)}).encode()
        case "adyen":
            item = {**ADYEN, "additionalData": {"hmacSignature": "?"}}
            return json.dumps({"notificationItems": [{"NotificationRequestItem": item}]}).encode()
        case "mailgun":
            return json.dumps(
                {"signature": {"timestamp": str(int(at.timestamp())), "token": "0f", "signature": "?"}}
            ).encode()
        case _:
            return body


def signed_by_us(name: str, scheme: Scheme, body: bytes, at: datetime, url: str) -> Signed:
    body = body_for(name, at, body)
    match scheme:
        case Token(header=header) if header:
            return Signed(_request({header: f"{scheme.prefix}a-secret-1"}, body, at, url), "a-secret-1")
        case Basic():
            credentials = base64.b64encode(b"user:password").decode()
            return Signed(_request({"authorization": f"Basic {credentials}"}, body, at, url), "user:password")
        case Hmac():
            return _with_key(scheme, body, at, url)
        case PublicKey():
            return _with_private_key(scheme, body, at, url)
        case WebToken():
            return _with_token(scheme, body, at, url)
        case _:
            raise NotImplementedError(name)


def _with_key(scheme: Hmac, body: bytes, at: datetime, url: str) -> Signed:
    raw = b"0123456789abcdef0123456789abcdef"
    secret = {"utf8": "a secret of theirs", "base64": base64.b64encode(raw).decode(), "hex": raw.hex()}[scheme.key]
    secret = scheme.key_prefix + secret
    if scheme.body_digest:
        url += f"&{scheme.body_digest.removeprefix('query:')}={hashlib.sha256(body).hexdigest()}"
    headers, elements = _times(scheme, at)
    if b"=" in body and not body.startswith(b"{"):
        headers["content-type"] = "application/x-www-form-urlencoded"
    message = _untimed(scheme)._signed_message(_request(headers, body, at, url), elements)
    signature = scheme._signature(scheme._key(secret), message).decode()
    if scheme.header.startswith("/"):
        return Signed(_request(headers, body.replace(b'"?"', f'"{signature}"'.encode()), at, url), secret)
    return Signed(_request({**headers, scheme.header: _header(scheme, elements, signature)}, body, at, url), secret)


def _with_private_key(scheme: PublicKey, body: bytes, at: datetime, url: str) -> Signed:
    headers, elements = _times(scheme, at)
    message = _untimed(scheme)._signed_message(_request(headers, body, at, url), elements)
    if scheme.algorithm == "ed25519":
        private = ed25519.Ed25519PrivateKey.generate()
        signature = private.sign(message)
        raw = private.public_key().public_bytes_raw()
        secret = scheme.key_prefix + (raw.hex() if scheme.key == "hex" else base64.b64encode(raw).decode())
    else:
        key = ec.generate_private_key(ec.SECP256R1())
        signature = key.sign(message, ec.ECDSA(hashes.SHA256()))
        secret = base64.b64encode(
            key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        ).decode()
    text = signature.hex() if scheme.encoding == "hex" else base64.b64encode(signature).decode()
    return Signed(_request({**headers, scheme.header: _header(scheme, elements, text)}, body, at, url), secret)


def _with_token(scheme: WebToken, body: bytes, at: datetime, url: str) -> Signed:
    claims: dict[str, Any] = {"iss": scheme.issuer or "them", "iat": int(at.timestamp())}
    if scheme.body_claim:
        claims[scheme.body_claim] = hashlib.sha256(body).hexdigest()
    if scheme.expires:
        claims["exp"] = claims["iat"] + 180
    if scheme.query_hash:
        claims["qsh"] = _whole_path_hash(_request({}, body, at, url))
    from joserfc import jwt  # noqa: PLC0415 the service's own library for tokens, which this verifier does not use
    from joserfc.jwk import OctKey  # noqa: PLC0415

    secret = "a secret of theirs with 32 bytes"
    token = jwt.encode({"alg": scheme.algorithm, "typ": "JWT"}, claims, OctKey.import_key(secret))
    return Signed(_request({scheme.header: f"{scheme.prefixes[0]}{token}"}, body, at, url), secret)


def _whole_path_hash(request: Request) -> str:
    text = f"POST&{request.url.partition('://')[2].partition('/')[2].partition('?')[0]}"
    query = request.url.partition("?")[2]
    made = hashlib.sha256(f"POST&/{text.partition('&')[2]}&{query}".encode()).hexdigest()
    assert made in _query_hashes(request)
    return made


def _times(scheme: Signature, at: datetime) -> tuple[dict[str, str], list[str]]:
    """Return the headers with the time and the id, and the elements of the signature's header before the signature."""
    headers: dict[str, str] = {}
    elements: list[str] = []
    clock = scheme.timestamp
    if clock and not (clock.header or "").startswith("/"):
        texts = {"s": str(int(at.timestamp())), "ms": str(round(at.timestamp() * 1000)), "iso": at.isoformat()}
        text = clock.prefix + texts[clock.unit]
        if clock.header:
            headers[clock.header] = text
        else:
            elements.append(text)
    if scheme.id_header:
        headers[scheme.id_header] = "msg_1"
    return headers, elements


def _untimed(scheme: Signature) -> Signature:
    clock = scheme.timestamp
    return replace(scheme, timestamp=AnyTime(clock.header, prefix=clock.prefix)) if clock else scheme


def _header(scheme: Signature, elements: list[str], signature: str) -> str:
    return (scheme.separator or "").join([*elements, scheme.prefix + signature])


def _request(headers: Mapping[str, str], body: bytes, at: datetime, url: str) -> Request:
    return Request("POST", url, Headers(headers.items()), body, at)
