"""Signatures by private keys: `cryptography` and Node agree with each, and no key does more than end its own poll."""

import asyncio
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from pydantic import TypeAdapter

from hairtrigger.api.odeus.schemas import Code
from hairtrigger.sandbox.protocol.poll import HttpRequest, HttpResponse
from hairtrigger.sandbox.service.sandbox import Sandbox
from tests.sandbox.programs import answer, nowhere, program, returned
from tests.support.node import run

pytestmark = pytest.mark.anyio

DOCUMENT = Path(__file__).parents[3] / "docs" / "polling-code.md"
HASHES = {"SHA-1": SHA1(), "SHA-256": SHA256(), "SHA-384": SHA384(), "SHA-512": SHA512()}
CURVES: dict[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
RSA = "{ name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }"
P256 = "{ name: 'ECDSA', namedCurve: 'P-256' }"
PRIME = 2**1279 - 1  # Mersenne's 15th
DATA = b"some data"


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def private(key: Any, form: PrivateFormat = PrivateFormat.PKCS8, encoding: Encoding = Encoding.DER) -> bytes:
    return bytes(key.private_bytes(encoding, form, NoEncryption()))


def public(key: Any) -> bytes:
    return bytes(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content).to_bytes((len(content).bit_length() + 7) // 8 or 1)
    return bytes([tag]) + (size if len(content) < 0x80 else bytes([0x80 | len(size)]) + size) + content


def integer(number: int) -> bytes:
    return der(2, number.to_bytes(number.bit_length() // 8 + 1))


RSA_ID = bytes.fromhex("300d06092a864886f70d0101010500")


def pkcs8(*numbers: int) -> bytes:
    return der(0x30, integer(0), RSA_ID, der(4, der(0x30, integer(0), *map(integer, numbers))))


def spki(*numbers: int) -> bytes:
    return der(0x30, RSA_ID, der(3, b"\0", der(0x30, *map(integer, numbers))))


def numbers_of(key: rsa.RSAPrivateKey, **changed: int) -> list[int]:
    of = key.private_numbers()
    names = {"n": of.public_numbers.n, "e": of.public_numbers.e, "d": of.d, "p": of.p, "q": of.q}
    names |= {"dp": of.dmp1, "dq": of.dmq1, "qi": of.iqmp}
    return list((names | changed).values())


SIGNED = """
    const { algorithm, key, spki, signature } = inputs, bytes = (hex) => Uint8Array.fromHex(hex);
    const { subtle } = crypto, data = bytes(inputs.data);
    const mine = await subtle.importKey('pkcs8', bytes(key), algorithm, false, ['sign']);
    const theirs = await subtle.importKey('spki', bytes(spki), algorithm, true, ['verify']);
    const [one, again] = [await subtle.sign(algorithm, mine, data), await subtle.sign(algorithm, mine, data)];
    const wrong = bytes(signature); wrong[9] ^= 1;
    const right = (claimed, about = data) => subtle.verify(algorithm, theirs, claimed, about);
    return [new Uint8Array(one).toHex(), new Uint8Array(again).toHex(), await right(bytes(signature)), await right(one),
        await right(wrong), await right(one.slice(1)), await right(one, data.slice(1)), await right(new Uint8Array())]
"""


async def _signed(sandbox: Sandbox, algorithm: dict[str, Any], key: Any, signature: bytes) -> bytes:
    """Have the data signed and a signature verified, and return what was made."""
    inputs = {"algorithm": algorithm, "key": private(key).hex(), "spki": public(key).hex()}
    inputs |= {"signature": signature.hex(), "data": DATA.hex()}
    one, again, *said = await returned(sandbox, SIGNED, inputs=inputs)
    assert one == again
    assert said == [True, True, False, False, False, False]
    return bytes.fromhex(one)


@pytest.mark.parametrize(("bits", "name"), [*((2048, name) for name in HASHES), (3072, "SHA-256"), (4096, "SHA-256")])
async def test_an_rsa_key_signs_as_elsewhere(sandbox: Sandbox, bits: int, name: str) -> None:
    key = rsa_key(bits)
    signature = key.sign(DATA, padding.PKCS1v15(), HASHES[name])

    assert await _signed(sandbox, {"name": "RSASSA-PKCS1-v1_5", "hash": name}, key, signature) == signature


@pytest.mark.parametrize("name", HASHES)
@pytest.mark.parametrize("curve", CURVES)
async def test_a_key_of_a_curve_signs_as_elsewhere(sandbox: Sandbox, curve: str, name: str) -> None:
    key = ec.generate_private_key(CURVES[curve])
    size = (key.key_size + 7) // 8
    r, s = decode_dss_signature(key.sign(DATA, ec.ECDSA(HASHES[name])))
    algorithm = {"name": "ECDSA", "namedCurve": curve, "hash": name}

    made = await _signed(sandbox, algorithm, key, r.to_bytes(size) + s.to_bytes(size))

    pair = encode_dss_signature(int.from_bytes(made[:size]), int.from_bytes(made[size:]))
    key.public_key().verify(pair, DATA, ec.ECDSA(HASHES[name]))


async def test_the_nonces_of_curves_are_those_of_rfc_6979(sandbox: Sandbox) -> None:
    secret = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721  # A.2.5
    key = private(ec.derive_private_key(secret, ec.SECP256R1())).hex()
    code = f"""
        const key = await crypto.subtle.importKey('pkcs8', Uint8Array.fromHex(inputs.key), {P256}, false, ['sign']);
        const sign = (text) => crypto.subtle.sign({{ name: 'ECDSA', hash: 'SHA-256' }}, key, Buffer.from(text));
        return [Buffer.from(await sign('sample')).toString('hex'), Buffer.from(await sign('test')).toString('hex')]"""

    signed = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
    signed += "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
    other = "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367"
    other += "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083"
    assert await returned(sandbox, code, inputs={"key": key}) == [signed, other]


# Imports, exports and what is refused: the same code in Node, which passes the Web Platform Tests of all this.
SHARED = """
    const { subtle } = crypto, seen = [];
    const bytes = (hex) => new Uint8Array(Buffer.from(hex, 'hex')), data = bytes('00');
    const tried = async (what) => {
      try { seen.push([what.toString(), await what()]) } catch (error) { seen.push([what.toString(), error.name]) }
    };
    const rsa = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }, curve = { name: 'ecdsa', namedCurve: 'P-256' };
    const es = { name: 'ECDSA', hash: 'SHA-256' };
    const shown = async (key, ...formats) => {
      const { type, extractable, algorithm, usages } = key, out = {};
      for (const format of formats) {
        const one = await subtle.exportKey(format, key);
        out[format] = one instanceof ArrayBuffer ? Buffer.from(one).toString('hex') : one;
      }
      const { name, modulusLength, namedCurve, hash, publicExponent } = algorithm;
      return [type, extractable, name, modulusLength, namedCurve, hash?.name, publicExponent && [...publicExponent],
        usages, Object.fromEntries(Object.entries(out).map(([format, one]) => [format,
          typeof one === 'string' ? one : Object.fromEntries(Object.entries(one).sort())]))];
    };
    const { keys } = inputs;
    for (const [name, as] of [['rsa', rsa], ['curve', curve]]) {
      const [pkcs8, spki, other] = keys[name].map(bytes);
      const mine = await subtle.importKey('pkcs8', pkcs8, as, true, ['sign']);
      const theirs = await subtle.importKey('spki', spki, as, true, ['verify']);
      const [secret, open] = [await subtle.exportKey('jwk', mine), await subtle.exportKey('jwk', theirs)];
      const how = as === rsa ? rsa.name : es;
      await tried(() => shown(mine, 'pkcs8', 'jwk'));
      await tried(() => shown(theirs, 'spki', 'jwk'));
      await tried(async () => shown(await subtle.importKey('jwk', secret, as, true, ['sign']), 'pkcs8', 'jwk'));
      await tried(async () => shown(await subtle.importKey('jwk', open, as, true, ['verify']), 'spki', 'jwk'));
      await tried(async () => shown(await subtle.importKey('jwk', open, as, true, []), 'spki', 'jwk'));
      await tried(async () => shown(await subtle.importKey('spki', spki, as, false, ['verify', 'verify'])));
      await tried(() => subtle.exportKey('spki', mine));
      await tried(() => subtle.exportKey('pkcs8', theirs));
      await tried(async () => subtle.exportKey('jwk', await subtle.importKey('pkcs8', pkcs8, as, false, ['sign'])));
      await tried(() => subtle.importKey('pkcs8', pkcs8, as, true, []));
      await tried(() => subtle.importKey('pkcs8', pkcs8, as, true, ['verify']));
      await tried(() => subtle.importKey('pkcs8', pkcs8, as, true, ['encrypt', 'sign']));
      await tried(() => subtle.importKey('spki', spki, as, true, ['sign']));
      await tried(() => subtle.importKey('spki', pkcs8, as, true, ['verify']));
      await tried(() => subtle.importKey('pkcs8', spki, as, true, ['sign']));
      await tried(() => subtle.importKey('pkcs8', other, as, true, ['sign']));
      await tried(() => subtle.importKey('pkcs8', pkcs8.slice(0, -1), as, true, ['sign']));
      await tried(() => subtle.importKey('pkcs8', new Uint8Array(), as, true, ['sign']));
      await tried(() => subtle.importKey('pkcs8', secret, as, true, ['sign']));
      await tried(() => subtle.importKey('jwk', pkcs8, as, true, ['sign']));
      await tried(() => subtle.importKey('jwk', { ...secret, kty: 'oct' }, as, true, ['sign']));
      await tried(() => subtle.importKey('jwk', { ...secret, use: 'enc' }, as, true, ['sign']));
      await tried(() => subtle.importKey('jwk', { ...secret, key_ops: ['verify'] }, as, true, ['sign']));
      await tried(() => subtle.importKey('jwk', { ...secret, ext: false }, as, true, ['sign']));
      await tried(() => subtle.importKey('jwk', { ...secret, alg: 'PS256' }, as === rsa ? as : rsa, true, ['sign']));
      await tried(() => subtle.importKey('jwk', secret, as, true, ['verify']));
      await tried(() => subtle.importKey('jwk', open, as, true, ['sign']));
      await tried(() => subtle.sign(how, theirs, data));
      await tried(() => subtle.verify(how, mine, data, data));
      await tried(() => subtle.sign('HMAC', mine, data));
      await tried(() => subtle.sign(as === rsa ? es : rsa.name, mine, data));
      await tried(() => subtle.sign({ name: 'ECDSA' }, mine, data));
      await tried(() => subtle.verify(how, theirs, data, data));
    }
    await tried(() => subtle.importKey('spki', bytes(keys.curve[1]), { name: 'ECDSA' }, true, ['verify']));
    await tried(() => subtle.importKey('spki', bytes(keys.curve[1]), { ...curve, namedCurve: 'P-384' }, true, []));
    await tried(() => subtle.importKey('spki', bytes(keys.curve[1]), { ...curve, namedCurve: 'K-256' }, true, []));
    await tried(() => subtle.importKey('spki', bytes(keys.rsa[1]), { name: rsa.name }, true, []));
    await tried(() => subtle.importKey('spki', bytes(keys.rsa[1]), { ...rsa, hash: 'MD5' }, true, []));
    await tried(() => subtle.importKey('jwk', { kty: 'EC', crv: 'P-256', x: 'AQ', y: 'AQ' }, curve, true, []));
    await tried(() => subtle.importKey('jwk', { kty: 'RSA', n: 'AQ' }, rsa, true, []));
    return seen;
"""

# Where Node has another error than https://w3c.github.io/webcrypto/ asks for.
BY_THE_STANDARD = {
    "() => subtle.exportKey('spki', mine)": "InvalidAccessError",  # RSASSA-PKCS1-v1_5, export key
    "() => subtle.exportKey('pkcs8', theirs)": "InvalidAccessError",
    "() => subtle.importKey('jwk', pkcs8, as, true, ['sign'])": "TypeError",  # importKey, 14.3.9
    "() => subtle.importKey('jwk', secret, as, true, ['verify'])": "SyntaxError",  # before key_ops are looked at
    "() => subtle.importKey('jwk', open, as, true, ['sign'])": "SyntaxError",
}


async def test_keys_are_imported_exported_and_refused_as_in_node(sandbox: Sandbox, tmp_path: Path) -> None:
    rsa_one, curve = rsa_key(), ec.generate_private_key(ec.SECP256R1())
    keys = {
        "rsa": [private(rsa_one).hex(), public(rsa_one).hex(), private(curve).hex()],
        "curve": [private(curve).hex(), public(curve).hex(), private(rsa_one).hex()],
    }
    script = f"const inputs = {json.dumps({'keys': keys})};\nconst poll = async () => {{{SHARED}}};"
    theirs = run(tmp_path, f"{script}\nconsole.log(JSON.stringify(await poll()));")

    ours = await returned(sandbox, SHARED, inputs={"keys": keys})

    different = {mine[0]: mine[1] for mine, other in zip(ours, theirs, strict=True) if mine != other}
    assert different == BY_THE_STANDARD
    assert len(ours) == 73


CURVE = ec.generate_private_key(ec.SECP256R1())
ENCRYPTED = rsa_key().private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
N, P = 2**2047 + 2**1000 + 1, 2**1023 + 1


def _pem(key: Any, form: PrivateFormat) -> bytes:
    return private(key, form, Encoding.PEM)


BITS = "RSA keys have 2048 to 4096 bits here"
EXPONENT = "The key has a public exponent that is no odd number from 3 to 4294967296"
TOGETHER = "The key has numbers that do not belong together"
REFUSED: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "PEM": ("pkcs8", lambda: _pem(rsa_key(), PrivateFormat.PKCS8), "The key is PEM text: give the bytes"),
    "PKCS#1": ("pkcs8", lambda: private(rsa_key(), PrivateFormat.TraditionalOpenSSL), "The key is PKCS#1 ('BEGIN RSA"),
    "SEC 1": ("pkcs8", lambda: private(CURVE, PrivateFormat.TraditionalOpenSSL), "The key is SEC 1 ('BEGIN EC"),
    "encrypted": ("pkcs8", lambda: ENCRYPTED, "The key is encrypted: decrypt it first"),
    "Ed25519": ("pkcs8", lambda: private(ed25519.Ed25519PrivateKey.generate()), "The key is no pkcs8 of RSA"),
    "1,024 bits": ("pkcs8", lambda: private(rsa.generate_private_key(65537, 1024)), f"The key has 1024 bits: {BITS}"),
    "32,000 bits": ("spki", lambda: spki(2**31_999 + 1, 3), "The key is longer than 3072 bytes"),
    "12,000 bits": ("spki", lambda: spki(2**11_999 + 1, 3), f"The key has 12000 bits: {BITS}"),
    "an even modulus": ("spki", lambda: spki(2**2047, 3), "The key has an even modulus"),
    "an exponent of 1": ("spki", lambda: spki(N, 1), "The key cannot be read"),
    "an even exponent": ("spki", lambda: spki(N, 65536), "The key cannot be read"),
    "an exponent of its length": ("spki", lambda: spki(N, N - 2), EXPONENT),
    "another modulus": ("pkcs8", lambda: pkcs8(*numbers_of(rsa_key(), n=N)), TOGETHER),
    "another exponent": ("pkcs8", lambda: pkcs8(*numbers_of(rsa_key(), e=3)), TOGETHER),
    "another secret": ("pkcs8", lambda: pkcs8(*numbers_of(rsa_key(), d=5)), TOGETHER),
    "another factor": ("pkcs8", lambda: pkcs8(*numbers_of(rsa_key(), p=P)), TOGETHER),
    "another remainder": ("pkcs8", lambda: pkcs8(*numbers_of(rsa_key(), dp=5)), TOGETHER),
    "another inverse": ("pkcs8", lambda: pkcs8(*numbers_of(rsa_key(), qi=5)), TOGETHER),
    "nothing but zeros": ("pkcs8", lambda: pkcs8(*[0] * 8), f"The key has 0 bits: {BITS}"),
    "lengths without bytes": (
        "pkcs8",
        lambda: b"\x30\x82\xff\xff\x02\x01\x00" + RSA_ID + b"\x04\x84\xff\xff\xff\xff",
        "",
    ),
    "a prime that is none": ("pkcs8", lambda: pkcs8(*numbers_of(rsa_key(), p=4, q=6)), TOGETHER),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_key_that_is_none_is_refused_with_the_reason(sandbox: Sandbox, name: str) -> None:
    form, made, said = REFUSED[name]
    code = f"""const use = '{form}' === 'pkcs8' ? 'sign' : 'verify';
        const key = crypto.subtle.importKey('{form}', Uint8Array.fromHex(inputs.key), {RSA}, false, [use]);
        return key.then(() => ['taken'], ({{ name, message }}) => [name, message])"""

    error, message = await returned(sandbox, code, inputs={"key": made().hex()})

    assert error == "DataError"
    assert message.startswith(said)


def _slow_keys() -> dict[str, bytes]:
    """Return keys of other kinds that take OpenSSL long to look at, one of them disguised by the beginning of RSA's."""
    prime = 2**9_689 - 1  # Mersenne's 21st
    dh_id = bytes.fromhex("06092a864886f70d010301")
    slow = der(0x30, integer(0), der(0x30, dh_id, der(0x30, integer(prime), integer(5))), der(4, integer(prime - 2)))
    return {"of Diffie and Hellman": slow, "disguised": der(0x30, integer(0), RSA_ID[:-2] + slow, der(4, integer(5)))}


@pytest.mark.parametrize("name", ["of Diffie and Hellman", "disguised"])
async def test_openssl_never_sees_a_key_of_another_kind(sandbox: Sandbox, name: str) -> None:
    key = _slow_keys()[name]
    code = f"""return [await crypto.subtle.importKey('pkcs8', Uint8Array.fromHex(inputs.key), {RSA}, false, ['sign'])
        .catch(({{ message }}) => message)]"""

    assert await returned(sandbox, code, inputs={"key": key.hex()}) == ["The key is no pkcs8 of RSA"]


OF_JSON = {
    "a member of no text": (RSA, "{ kty: 'RSA', n: {}, e: [] }", "DataError"),
    "a member without end": (RSA, "{ kty: 'RSA', n: 'A'.repeat(5e6), e: 'AQAB' }", "DataError"),
    "all members": (RSA, "{ kty: 'RSA', ...Object.fromEntries([...'ned'].map((x) => [x, 'AQAB'])) }", "DataError"),
    "more than two primes": (RSA, "{ kty: 'RSA', n: 'AQAB', e: 'AQAB', oth: [] }", "NotSupportedError"),
    "a point on no curve": (P256, "{ kty: 'EC', crv: 'P-256', x: 'A'.repeat(43), y: 'A'.repeat(43) }", "DataError"),
    "a coordinate without end": (P256, "{ kty: 'EC', crv: 'P-256', x: '_'.repeat(4000), y: 'AQ' }", "DataError"),
    "a getter": (P256, "{ kty: 'EC', crv: 'P-256', get x() { return 'A'.repeat(++globalThis.n) }, y: 1 }", "DataError"),
    "a half of a pair": (P256, "{ kty: 'EC', crv: 'P-256', x: '\\ud800', y: '\\udc00' }", "DataError"),
}


@pytest.mark.parametrize("name", OF_JSON)
async def test_a_json_web_key_that_is_none_is_refused(sandbox: Sandbox, name: str) -> None:
    algorithm, key, error = OF_JSON[name]
    code = f"""globalThis.n = 0;
        return [await crypto.subtle.importKey('jwk', {key}, {algorithm}, false, []).catch(({{ name }}) => name)]"""

    assert await returned(sandbox, code) == [error]


async def test_a_key_whose_factors_are_no_primes_makes_no_signature_and_ends_nothing(sandbox: Sandbox) -> None:
    """The numbers fit together, so only the signature shows it."""
    p, q = PRIME - 2, PRIME
    e = next(e for e in range(3, 1000, 2) if all(one % e for one in (p - 1, q - 1)))
    d = pow(e, -1, (p - 1) * (q - 1))
    key = pkcs8(p * q, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))
    code = f"""const bytes = Uint8Array.fromHex(inputs.key);
        const key = await crypto.subtle.importKey('pkcs8', bytes, {RSA}, true, ['sign']);
        const {{ n, e, kty }} = await crypto.subtle.exportKey('jwk', key);
        const other = await crypto.subtle.importKey('jwk', {{ n, e, kty }}, {RSA}, true, ['verify']);
        const made = await crypto.subtle.sign('RSASSA-PKCS1-v1_5', key, new Uint8Array(9));
        return [await crypto.subtle.verify('RSASSA-PKCS1-v1_5', other, made, new Uint8Array(9))]"""

    ended, fine = await asyncio.gather(
        sandbox.run(program(code, {"key": key.hex()}), nowhere), returned(sandbox, "return [1]"), return_exceptions=True
    )

    assert fine == [1]
    assert isinstance(ended, Exception) or ended.value == [False]


async def test_signatures_without_end_end_their_own_poll(sandbox: Sandbox) -> None:
    code = f"""const bytes = Uint8Array.fromHex(inputs.key);
        const key = await crypto.subtle.importKey('pkcs8', bytes, {RSA}, false, ['sign']);
        for (;;) await crypto.subtle.sign('RSASSA-PKCS1-v1_5', key, new Uint8Array(9))"""

    ended, *fine = await asyncio.gather(
        sandbox.run(program(code, {"key": private(rsa_key(4096)).hex()}), nowhere),
        *(returned(sandbox, "return [1]") for _ in range(4)),
        return_exceptions=True,
    )

    assert fine == [[1]] * 4
    assert getattr(ended, "kind", None) == "cpu_limit"


async def test_a_recorded_poll_signs_the_same_again(sandbox: Sandbox) -> None:
    keys = {RSA: private(rsa_key()).hex(), P256: private(CURVE).hex()}
    code = "const out = [];" + "".join(
        f"""{{ const bytes = Uint8Array.fromHex('{key}');
        const key = await crypto.subtle.importKey('pkcs8', bytes, {as_}, false, ['sign']);
        const data = Buffer.from(crypto.randomUUID() + Date.now());
        const signed = await crypto.subtle.sign({{ ...{as_}, hash: 'SHA-256' }}, key, data);
        out.push(Buffer.from(signed).toString('hex')) }}"""
        for as_, key in keys.items()
    )
    first = await sandbox.run(program(f"{code} return out"), nowhere, record=True)
    assert first.recording

    assert (await sandbox.replay(first.recording)).value == first.value
    assert len(set(first.value)) == 2


# The examples of the documentation, character for character.
GITHUB, GOOGLE = (code.strip() for code in re.findall(r"```js\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL))


class _Provider:
    """Gives a token for a JSON Web Token that another project's library finds right, and items for that token."""

    def __init__(self, audience: str | None) -> None:
        self.claims: dict[str, Any] = {}
        self._audience = audience

    async def fetch(self, request: HttpRequest) -> HttpResponse:
        authorization = dict(request.headers).get("authorization", "")
        if request.url == "https://api.github.com/app/installations/7/access_tokens":
            return self._token("token", authorization.removeprefix("Bearer "))
        if request.url == "https://oauth2.googleapis.com/token":
            form = parse_qs((request.body or b"").decode())
            assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
            return self._token("access_token", form["assertion"][0])
        assert authorization == "Bearer of the installation"
        items = [{"id": 1, "title": "An item"}]
        return answer({"files": items} if "googleapis" in request.url else items)

    def _token(self, name: str, token: str) -> HttpResponse:
        key = rsa_key().public_key()
        self.claims = jwt.decode(token, key, algorithms=["RS256"], audience=self._audience, options=_LATER)
        return answer({name: "of the installation"}, 201)


_LATER: Any = {"verify_exp": False, "verify_iat": False}  # the clock of the poll is not now


@pytest.mark.parametrize("end_of_line", ["\n", "\r\n", " "])
async def test_the_documented_code_for_a_github_app_works(sandbox: Sandbox, end_of_line: str) -> None:
    assert TypeAdapter(Code).validate_python(GITHUB) == GITHUB
    pem = _pem(rsa_key(), PrivateFormat.TraditionalOpenSSL).decode().replace("\n", end_of_line)
    github = _Provider(None)

    inputs = {"app": "12345", "id": 7, "repo": "o/r"}
    items = await returned(sandbox, GITHUB, github.fetch, inputs=inputs, secrets={"key": pem})

    assert items == [{"id": 1, "title": "An item"}]
    assert github.claims["iss"] == "12345"
    assert github.claims["exp"] - github.claims["iat"] == 600


async def test_the_documented_code_for_a_google_service_account_works(sandbox: Sandbox) -> None:
    assert TypeAdapter(Code).validate_python(GOOGLE) == GOOGLE
    google = _Provider("https://oauth2.googleapis.com/token")
    account = {
        "client_email": "a@b.example",
        "private_key": _pem(rsa_key(), PrivateFormat.PKCS8).decode(),
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    inputs = {"scope": "https://www.googleapis.com/auth/drive.readonly"}

    items = await returned(sandbox, GOOGLE, google.fetch, inputs=inputs, secrets={"account": json.dumps(account)})

    assert items == [{"id": 1, "title": "An item"}]
    assert google.claims["iss"] == "a@b.example"
    assert google.claims["scope"] == inputs["scope"]
