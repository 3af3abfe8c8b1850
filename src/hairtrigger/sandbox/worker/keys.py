"""Defines the hooks for asymmetric keys, which read and write keys, sign, and verify.

The prelude knows a key as JSON text with the numbers of a JSON Web Key (RFC 7518, 6.2 and 6.3). Each call checks all of
these numbers, except whether the factors of an RSA key are primes. A key with other factors makes signatures that no
program accepts.

No key makes a call cost more than a signature of 4,096 bits and a hash of the data, which has at most 16 MB. For that,
the lengths, the kind and the exponent of a key are checked before OpenSSL gets it. A key makes the same signature for
the same data each time, so that a recorded poll can be replayed.
"""

import json
import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from contextlib import suppress

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

RSA = "RSA"
CURVES: Mapping[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
HASHES: Mapping[str, HashAlgorithm] = {
    "SHA-1": SHA1(),  # noqa: S303 what WebCrypto has, code may use
    "SHA-256": SHA256(),
    "SHA-384": SHA384(),
    "SHA-512": SHA512(),
}
LEAST_BITS, MOST_BITS = 2048, 4096  # of an RSA key
MOST_EXPONENT = 2**32  # a public exponent is a small number: 65537 nearly everywhere
MOST_DER = 3 * 1024  # bytes; a private RSA key of 4,096 bits has 2.4 KB
MOST_JSON = 8 * 1024
MOST_SIGNED = 16 * 1024 * 1024

_PUBLIC_RSA = ("n", "e")
_PRIVATE_RSA = (*_PUBLIC_RSA, "d", "p", "q", "dp", "dq", "qi")
_LENGTH = rb"(?:[\x00-\x7f]|\x81.|\x82..)"
_ALGORITHMS = {  # AlgorithmIdentifier, RFC 3279 and RFC 5480, as DER
    RSA: "300d06092a864886f70d0101010500",
    "P-256": "301306072a8648ce3d020106082a8648ce3d030107",
    "P-384": "301006072a8648ce3d020106052b81040022",
    "P-521": "301006072a8648ce3d020106052b81040023",
}
_BEGINNINGS = {"pkcs8": rb"\x30" + _LENGTH + rb"\x02\x01[\x00\x01]", "spki": rb"\x30" + _LENGTH}
# What users paste that is no PKCS#8, and what it is.
_OTHERS = {
    rb"\s*-----BEGIN": "is PEM text: give the bytes that its Base64 stands for",
    rb"\x30" + _LENGTH + rb"\x02\x01\x00\x02": "is PKCS#1 ('BEGIN RSA PRIVATE KEY'): put it into PKCS#8 first",
    rb"\x30" + _LENGTH + rb"\x02\x01\x01\x04": "is SEC 1 ('BEGIN EC PRIVATE KEY'): put it into PKCS#8 first",
    rb"\x30" + _LENGTH + rb"\x30.{0,4}\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05": "is encrypted: decrypt it first",
}


class _Unusable(Exception):
    """The data is no usable key. The message says why, as words that can follow "The key"."""


def read_key(kind: str, form: str, data: str | bytes) -> str:
    """Return the numbers of a key as JSON, or an object with a sentence as `error` if the data is no usable key.

    `data` is either a JSON Web Key as JSON, or the bytes of a key in `form`, which is "pkcs8" or "spki".
    """
    try:
        members = _of_json(data) if isinstance(data, str) else _members(_of_der(kind, form, data))
        return json.dumps(_members(_key(kind, members)))
    except _Unusable as reason:
        return json.dumps({"error": f"The key {reason}"})


def write_key(kind: str, form: str, numbers: str) -> bytes:
    key = _known(kind, numbers)
    if isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        if form == "pkcs8":
            return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    elif form == "spki":
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    raise ValueError(form)


def sign(kind: str, of_hash: str, numbers: str, data: bytes | None) -> bytes:
    """Return the signature of the data. For an RSA key it is made after PKCS#1 v1.5. For a key on a curve it is the two
    numbers r and s, made after RFC 6979, as bytes one after the other.

    Raises `ValueError` if the key is not a private one, or if the data is too long.
    """
    content = _bounded(data)
    match _known(kind, numbers):
        case rsa.RSAPrivateKey() as key:
            return key.sign(content, padding.PKCS1v15(), HASHES[of_hash])
        case ec.EllipticCurvePrivateKey() as key:
            r, s = decode_dss_signature(key.sign(content, ec.ECDSA(HASHES[of_hash], deterministic_signing=True)))
            size = _size(key.curve)
            return r.to_bytes(size) + s.to_bytes(size)
        case _:
            raise ValueError(kind)


def verify(kind: str, of_hash: str, numbers: str, signature: bytes | None, data: bytes | None) -> str | None:
    """Return "right" if this key made the signature for the data, or None if it did not.

    Raises `ValueError` if the key is not a public one, or if the data is too long.
    """
    content, claimed = _bounded(data), _bounded(signature)
    try:
        match _known(kind, numbers):
            case rsa.RSAPublicKey() as key:
                key.verify(claimed, content, padding.PKCS1v15(), HASHES[of_hash])
            case ec.EllipticCurvePublicKey() as key:
                size = _size(key.curve)
                if len(claimed) != 2 * size:
                    return None
                pair = encode_dss_signature(int.from_bytes(claimed[:size]), int.from_bytes(claimed[size:]))
                key.verify(pair, content, ec.ECDSA(HASHES[of_hash]))
            case _:
                raise ValueError(kind)
    except InvalidSignature:
        return None
    return "right"


def _of_json(text: str) -> Mapping[str, str]:
    if len(text) > MOST_JSON:
        raise _Unusable("is too long")
    members: Mapping[str, str] = json.loads(text)
    if not all(isinstance(member, str) for member in members.values()):
        raise ValueError(text)
    return members


def _of_der(kind: str, form: str, der: bytes) -> PrivateKey | PublicKey:
    """Return the key in these bytes, as OpenSSL reads it. Raises `_Unusable` if they hold no key of this kind and form.

    OpenSSL gets no key of another kind, because reading a key of some other kinds takes very long.
    """
    if len(der) > MOST_DER:
        raise _Unusable(f"is longer than {MOST_DER} bytes")
    if not re.match(_BEGINNINGS[form] + re.escape(bytes.fromhex(_ALGORITHMS[kind])), der, re.DOTALL):
        said = next((said for other, said in _OTHERS.items() if re.match(other, der, re.DOTALL)), None)
        raise _Unusable(said or f"is no {form} of {kind}")
    with suppress(ValueError, TypeError):
        key = (
            load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
            if form == "pkcs8"
            else load_der_public_key(der)
        )
        if isinstance(key, PrivateKey | PublicKey):
            return key
    raise _Unusable("cannot be read")


def _known(kind: str, numbers: str) -> PrivateKey | PublicKey:
    """Return the key with these numbers, which `read_key` must have returned.

    Raises `ValueError` for numbers that are no usable key, because code must have got around the prelude then.
    """
    try:
        return _key(kind, _of_json(numbers))
    except _Unusable as reason:
        raise ValueError(kind) from reason


def _key(kind: str, members: Mapping[str, str]) -> PrivateKey | PublicKey:
    is_private = "d" in members
    names = (_PRIVATE_RSA if is_private else _PUBLIC_RSA) if kind == RSA else ("x", "y", *("d" if is_private else ""))
    numbers = {name: _number(name, members) for name in names}
    if kind == RSA:
        return _rsa_key(**numbers)
    return _point_key(CURVES[kind], **numbers)


def _rsa_key(
    n: int, e: int, d: int | None = None, p: int = 0, q: int = 0, dp: int = 0, dq: int = 0, qi: int = 0
) -> PrivateKey | PublicKey:
    if not LEAST_BITS <= n.bit_length() <= MOST_BITS:
        raise _Unusable(f"has {n.bit_length()} bits: RSA keys have {LEAST_BITS} to {MOST_BITS} bits here")
    if n % 2 == 0:
        raise _Unusable("has an even modulus")
    if not 3 <= e < MOST_EXPONENT or e % 2 == 0:
        raise _Unusable(f"has a public exponent that is no odd number from 3 to {MOST_EXPONENT}")
    public = rsa.RSAPublicNumbers(e, n)
    if d is None:
        return public.public_key()
    fits = (
        1 < p < n
        and 1 < q < n
        and p * q == n
        and d < n
        and (dp, dq) == (d % (p - 1), d % (q - 1))
        and e * dp % (p - 1) == 1
        and e * dq % (q - 1) == 1
        and qi < p
        and q * qi % p == 1
    )
    if not fits:
        raise _Unusable("has numbers that do not belong together")
    return rsa.RSAPrivateNumbers(p, q, d, dp, dq, qi, public).private_key(unsafe_skip_rsa_key_validation=True)


def _point_key(curve: ec.EllipticCurve, x: int, y: int, d: int | None = None) -> PrivateKey | PublicKey:
    wanted = ec.EllipticCurvePublicNumbers(x, y, curve)
    try:
        if d is None:
            return wanted.public_key()
        key = ec.derive_private_key(d, curve)
    except ValueError:
        raise _Unusable(f"has numbers that are none of {curve.name}") from None
    if key.public_key().public_numbers() != wanted:
        raise _Unusable("has numbers that do not belong together")
    return key


def _members(key: PrivateKey | PublicKey) -> dict[str, str]:
    match key:
        case rsa.RSAPublicKey():
            public = key.public_numbers()
            return {"n": _text(public.n), "e": _text(public.e)}
        case rsa.RSAPrivateKey():
            numbers = key.private_numbers()
            names = {"d": "d", "p": "p", "q": "q", "dp": "dmp1", "dq": "dmq1", "qi": "iqmp"}
            of_private = {name: _text(getattr(numbers, ours)) for name, ours in names.items()}
            return _members(key.public_key()) | of_private
        case ec.EllipticCurvePublicKey():
            point, size = key.public_numbers(), _size(key.curve)
            return {"x": _text(point.x, size), "y": _text(point.y, size)}
        case ec.EllipticCurvePrivateKey():
            secret = key.private_numbers().private_value
            return _members(key.public_key()) | {"d": _text(secret, _size(key.curve))}


def _size(curve: ec.EllipticCurve) -> int:
    return (curve.key_size + 7) // 8


def _number(name: str, members: Mapping[str, str]) -> int:
    text = members.get(name, "")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text) or len(text) % 4 == 1:
        raise _Unusable(f"has no '{name}' in base64url")
    padded = text.translate({0x2D: "+", 0x5F: "/"}) + "=" * (-len(text) % 4)
    return int.from_bytes(a2b_base64(padded))


def _text(number: int, size: int | None = None) -> str:
    data = number.to_bytes(size or max(1, (number.bit_length() + 7) // 8))
    return b2a_base64(data, newline=False).decode().rstrip("=").translate({0x2B: "-", 0x2F: "_"})


def _bounded(data: str | bytes | None) -> bytes:
    if isinstance(data, str) or len(data or b"") > MOST_SIGNED:
        raise ValueError("A hook was given what it does not take.")
    return data or b""


def _load_algorithms() -> None:
    """Sign and verify with each algorithm once, because a locked sandbox worker could not load an algorithm any more.

    The factors of the RSA key are Mersenne's primes, so the key is no secret.
    """
    p, q, e = 2**1279 - 1, 2**2203 - 1, 65537
    d = pow(e, -1, (p - 1) * (q - 1))
    rsa_key = _rsa_key(p * q, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))
    points = {kind: ec.derive_private_key(1, curve) for kind, curve in CURVES.items()}
    for kind, key in {RSA: rsa_key, **points}.items():
        members = _members(key)
        numbers = json.dumps(members)
        public = json.dumps({name: members[name] for name in members if name in "nexy"})
        assert read_key(kind, "pkcs8", write_key(kind, "pkcs8", numbers)) == numbers
        assert read_key(kind, "spki", write_key(kind, "spki", public)) == public
        for of_hash in HASHES if kind == "P-256" else ["SHA-256"]:
            assert verify(kind, of_hash, public, sign(kind, of_hash, numbers, b""), b"")


_load_algorithms()
