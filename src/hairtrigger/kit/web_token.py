"""Verifies JSON Web Tokens that senders sign with a shared secret (RFC 7515, RFC 7519)."""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import quote, unquote_to_bytes, urlsplit

from hairtrigger.domain.errors import Rejected
from hairtrigger.domain.json_reader import read_json
from hairtrigger.kit.incoming import Request
from hairtrigger.kit.verify import Scheme, live_secrets

_LONGEST = 16 * 1024
_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_LEEWAY = timedelta(minutes=1)
_NO_ADDRESS = "context-qsh"  # the value of `qsh` in tokens that are for no one address


@dataclass(frozen=True)
class WebToken(Scheme):
    """A verifier of a JSON Web Token that stands in a header, after one of the `prefixes`, and is signed with the
    secret.

    `body_claim` names the claim that holds the SHA-256 of the body in hex. With `query_hash` the token must have the
    claim `qsh`, and with `expires` it must have the claim `exp`. Every token that has one of the claims `exp`, `nbf`
    and `qsh` is checked for it: `qsh` must be the hash of the method and the URL, as Atlassian makes it, or
    `context-qsh`.
    """

    header: str
    _: KW_ONLY
    prefixes: tuple[str, ...] = ("",)
    algorithm: Literal["HS256", "HS384", "HS512"] = "HS256"
    issuer: str | None = None
    body_claim: str | None = None
    query_hash: bool = False
    expires: bool = False
    tolerance: timedelta = _LEEWAY

    def __call__(self, request: Request, secrets: Sequence[str]) -> None:
        keys = [secret.encode(errors="surrogatepass") for secret in live_secrets(secrets, self.header)]
        token = self._token(request)
        parts = _COMPACT.fullmatch(token)
        if not parts:
            raise Rejected(f"The header {self.header} holds no signed token.")
        head, claims = _object(parts[1]), _object(parts[2])
        if head is None or claims is None or head.get("alg") != self.algorithm or "crit" in head:
            raise Rejected(f"The token in {self.header} is not a token that is signed with {self.algorithm}.")
        signed, given = token.rpartition(".")[0].encode(), parts[3].encode()
        expected = [_base64(hmac.digest(key, signed, self.algorithm.replace("HS", "sha"))) for key in keys]
        if not any(hmac.compare_digest(ours, given) for ours in expected):
            raise Rejected(f"The token in {self.header} does not match: the sender has another secret.")
        self._check(request, claims)

    @property
    def reads(self) -> frozenset[str]:
        return frozenset({f"header:{self.header.lower()}"})

    def _token(self, request: Request) -> str:
        value = request.headers.get(self.header, "")[:_LONGEST]
        for prefix in self.prefixes:
            if value.startswith(prefix):
                return value.removeprefix(prefix).strip()
        raise Rejected(f"The header {self.header} does not begin with '{self.prefixes[0]}'.")

    def _check(self, request: Request, claims: dict[str, Any]) -> None:
        now, leeway = request.received_at.timestamp(), self.tolerance.total_seconds()
        end, start = claims.get("exp"), claims.get("nbf")
        if self.expires and end is None:
            raise Rejected("The token has no end.")
        if end is not None and not (_is_number(end) and now < end + leeway):
            raise Rejected("The token has expired: the delivery is late, or the sender's clock is wrong.")
        if start is not None and not (_is_number(start) and start - leeway <= now):
            raise Rejected("The token is not valid yet: the sender's clock is ahead of ours.")
        if self.issuer is not None and claims.get("iss") != self.issuer:
            raise Rejected("The token was issued by another sender.")
        if self.body_claim and claims.get(self.body_claim) != hashlib.sha256(request.body).hexdigest():
            raise Rejected("The token is not of this body: the body was changed on its way.")
        self._check_address(request, claims.get("qsh"))

    def _check_address(self, request: Request, given: object) -> None:
        if given is None and not self.query_hash:
            return
        if given != _NO_ADDRESS and given not in _query_hashes(request):
            raise Rejected("The token is not of this URL.")


def _query_hashes(request: Request) -> set[str]:
    """Return all hashes that Atlassian may have made of the request's method and URL.

    The hashed path leaves out the path of the app's own address, which may be any beginning of the path in our URL.
    https://developer.atlassian.com/cloud/jira/platform/understanding-jwt-for-connect-apps/#creating-a-query-string-hash
    """
    path = urlsplit(request.url).path.rstrip("/")
    query = "&".join(_encoded_query(request))
    parts = path.split("/")[1:20]
    paths = {"/" + "/".join(parts[start:]) for start in range(len(parts) + 1)}
    texts = [f"{request.method.upper()}&{_normal(one).replace('&', '%26')}&{query}" for one in paths]
    return {hashlib.sha256(text.encode()).hexdigest() for text in texts}


def _encoded_query(request: Request) -> list[str]:
    values: dict[str, list[str]] = {}
    for name, value in request.parameters():
        if name != "jwt":
            values.setdefault(_encoded(name), []).append(_encoded(value))
    return [f"{name}={','.join(sorted(found))}" for name, found in sorted(values.items())]


def _normal(path: str) -> str:
    return quote(unquote_to_bytes(path), safe="/!$&'()*+,;=:@~")


def _encoded(text: str) -> str:
    return quote(text, safe="~")


def _object(part: str) -> dict[str, Any] | None:
    try:
        found = read_json(base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _base64(digest: bytes) -> bytes:
    return base64.urlsafe_b64encode(digest).rstrip(b"=")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
