"""Describes, as data, the ways to get and to renew access tokens by OAuth 2.

The classes build requests and read answers. They send nothing, keep nothing and read no clock, because
`services/access_tokens` does that. What a connection holds is one mapping of texts by name. It has the fields that a
user entered, the tokens, and the parts of answers that `keep` names.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from string import Formatter
from typing import Any, Literal
from urllib.parse import quote, urlencode, urlsplit

from authlib.common.security import generate_token
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7523.assertion import sign_jwt_bearer_assertion
from authlib.oauth2.rfc7636.challenge import create_s256_code_challenge
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from pydantic import ValidationError
from pydantic_core import to_json

from hairtrigger.domain.errors import CredentialsRefused, Invalid, Issue, ProviderFailed
from hairtrigger.kit.auth import Carried
from hairtrigger.kit.config import Payload

ACCESS, REFRESH, CLIENT = "access_token", "refresh_token", "oauth_client_id"
"""The names under which a connection holds its access token, its refresh token, and the id of the client that
got them.
"""

_FORM = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded"}
_METHODS = {"basic": "client_secret_basic", "body": "client_secret_post", "none": "none"}
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
_LONGEST = 200  # characters that are shown of what a provider says
_LONGEST_TOKEN = 16_384  # characters
_LONGEST_LIFE = timedelta(days=3650)
_MOST_SCOPES = 200
_LONGEST_KEY = 4096  # characters of a private key in PEM, and bits of the key: larger ones take long to sign with
_EARLIER = timedelta(seconds=60)  # a clock that is ahead of the provider's makes no token of the future
_ASSERTED = timedelta(minutes=9)  # GitHub takes assertions of ten minutes at most

# What token endpoints answer when a refresh token is not valid any more, and only the user can help.
# https://www.rfc-editor.org/rfc/rfc6749#section-5.2; bad_refresh_token is GitHub's, invalid_refresh_token Slack's.
_ENDED = frozenset({"invalid_grant", "bad_refresh_token", "invalid_refresh_token", "token_revoked", "token_expired"})


class TokenRefused(CredentialsRefused):
    """The provider's token endpoint answered with an error. `code` is the error, and `ended` says whether only the user
    can help, by connecting again.
    """

    def __init__(self, code: str, description: str = "", *, ended: bool = False) -> None:
        said = f": {description}" if description else ""
        super().__init__(f"The provider answered '{code}'{said}")
        self.code = code
        self.ended = ended


@dataclass(frozen=True)
class Client:
    """The client id and secret by which a provider knows the service. The secret of a public client is empty."""

    id: str
    secret: str = field(default="", repr=False)


@dataclass(frozen=True)
class TokenRequest:
    """A POST to a provider's token endpoint or device endpoint, which is not sent yet."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Grant:
    """The tokens that a provider gave.

    `lasts` is None if the provider does not say how long the access token lasts, and `scopes` is None if it does not
    say what the token allows. `kept` holds the further parts of the answer that the connection keeps.
    """

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    lasts: timedelta | None = None
    scopes: tuple[str, ...] | None = None
    kept: Mapping[str, str] = field(default_factory=dict, repr=False)

    def held(self, before: Mapping[str, str]) -> dict[str, str]:
        """Return what the connection holds from now on. `before` is what it held until now, of which the refresh token
        stays unless the provider gave another one.
        """
        new = {ACCESS: self.access_token} | ({REFRESH: self.refresh_token} if self.refresh_token else {})
        return {**before, **self.kept, **new}


class _Device(Payload):
    """The answer of a device endpoint. Google's first answers named the address `verification_url`.
    https://www.rfc-editor.org/rfc/rfc8628#section-3.2
    """

    device_code: str
    user_code: str
    verification_uri: str | None = None
    verification_url: str | None = None
    verification_uri_complete: str | None = None
    expires_in: float
    interval: float = 5


@dataclass(frozen=True)
class DeviceCode:
    """The code that a user enters at `address`, and the code with which the service asks whether that was done.

    `complete` is an address that holds the user's code already, or None. The codes are valid for `lasts`, and the
    service asks no more often than each `interval`.
    """

    device_code: str = field(repr=False)
    user_code: str
    address: str
    complete: str | None
    lasts: timedelta
    interval: timedelta


@dataclass(frozen=True, kw_only=True)
class TokenAuth:
    """Sends an access token, which the service gets and renews.

    `token_url` and the other addresses may hold fields of the connection, such as `https://{site}.example.com/token`.
    `lasts` is the life of a token if the answer does not state one. `keep` says which parts of the answer the
    connection keeps, such as the address of the account's server: each name is the one under which the connection keeps
    a part, and its value the path to the part.
    """

    token_url: str
    scopes: tuple[str, ...] = ()
    separator: str = " "
    header: str = "authorization"
    prefix: str = "Bearer "
    also: Mapping[str, str] = field(default_factory=dict)
    keep: Mapping[str, str] = field(default_factory=dict)
    lasts: timedelta | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        return (ACCESS,)

    @property
    def entered(self) -> tuple[str, ...]:
        """Return the names of the fields that a user enters, without those in addresses."""
        return ()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return the addresses that may hold fields of the connection."""
        return (self.token_url,)

    @property
    def address_fields(self) -> tuple[str, ...]:
        named = (name for one in self.addresses for _, name, _, _ in Formatter().parse(one) if name)
        return tuple(name for name in dict.fromkeys(named) if name not in self.keep)

    @property
    def needs_client(self) -> bool:
        """Return whether the tokens are got with a client id of the service, and not with one that the user enters."""
        return False

    def carried(self, secrets: Mapping[str, str]) -> Carried:
        return Carried({**self.also, self.header: f"{self.prefix}{secrets[ACCESS]}"})

    def renewal(self, held: Mapping[str, str], client: Client | None, now: datetime) -> TokenRequest | None:
        """Return the request for a new access token, or None if the connection holds nothing to ask with. `held` is
        what the connection holds.
        """
        raise NotImplementedError

    def granted(self, status: int, answer: Any) -> Grant:
        """Return the tokens in an answer of the token endpoint. `answer` is its JSON.

        A field that is not of its type counts as left out, because a refresh token beside it may be the only one that
        is valid. Raise `TokenRefused` if the answer is an error, and `ProviderFailed` if it holds no access token.
        https://www.rfc-editor.org/rfc/rfc6749#section-5.1
        """
        _raise_error(status, answer)
        given: dict[str, Any] = answer if isinstance(answer, dict) else {}
        access, refresh = given.get(ACCESS), given.get(REFRESH)
        if not isinstance(access, str) or not _is_sendable(access):
            raise ProviderFailed(f"The provider's token endpoint answered {status} without a usable access token.")
        return Grant(
            access,
            refresh if isinstance(refresh, str) and len(refresh) <= _LONGEST_TOKEN else None,
            self._life(given.get("expires_in")),
            _scopes(given.get("scope")),
            self._kept(given),
        )

    def _life(self, given: Any) -> timedelta | None:
        """Return the life of the access token, which an answer states as `given`. Return `lasts` if it states none, or
        0 or -1, which stand for a life without end at some providers.
        """
        try:
            seconds = 0.0 if isinstance(given, bool) else float(given)
        except (TypeError, ValueError):
            return self.lasts
        return timedelta(seconds=seconds) if 0 < seconds <= _LONGEST_LIFE.total_seconds() else self.lasts

    def _kept(self, answer: Any) -> dict[str, str]:
        found = {name: _at(answer, path) for name, path in self.keep.items()}
        return {
            name: str(value)[:2000] for name, value in found.items() if isinstance(value, str | int) and value != ""
        }

    def _request(self, held: Mapping[str, str], form: str, client: Client, way: str) -> TokenRequest:
        url = filled(self.token_url, held)
        uri, headers, body = ClientAuth(client.id, client.secret, _METHODS[way]).prepare("POST", url, dict(_FORM), form)
        return TokenRequest(uri, headers, body.encode())

    def _scope(self, scopes: Collection[str]) -> str:
        return self.separator.join(dict.fromkeys((*self.scopes, *scopes)))


@dataclass(frozen=True, kw_only=True)
class OAuth2(TokenAuth):
    """Access that a user grants in a browser, by the authorization code grant with PKCE (RFC 6749, RFC 7636).

    With a `device_url` the user may grant it on another device instead (RFC 8628). `client_auth` says how the service
    identifies itself at the token endpoint. `authorize` holds further parameters of the authorize address. `issuer` is
    the value that the provider gives as `iss` in its answer (RFC 9207), if that is known. `client` is the name of the
    client where several providers share one; by default it is the provider's id.
    """

    client: str = ""
    authorize_url: str = ""
    device_url: str = ""
    client_auth: Literal["basic", "body", "none"] = "body"
    pkce: bool = True
    authorize: Mapping[str, str] = field(default_factory=dict)
    scope_parameter: str = "scope"
    issuer: str = ""

    @property
    def addresses(self) -> tuple[str, ...]:
        return (self.authorize_url, self.token_url, self.device_url)

    @property
    def needs_client(self) -> bool:
        return True

    @property
    def is_fixed(self) -> bool:
        """Return whether no field of a connection can change the server to which the client's secret goes."""
        return all(_has_fixed_host(one) for one in (self.token_url, self.device_url) if one)

    def authorize_at(
        self,
        held: Mapping[str, str],
        client: Client,
        *,
        redirect_uri: str,
        state: str,
        verifier: str,
        scopes: Collection[str] = (),
    ) -> str:
        """Return the URL at which the user grants the access. `scopes` are those that are asked for in addition to the
        provider's own.
        """
        more = {self.scope_parameter: self._scope(scopes) or None, **self.authorize}
        if self.pkce:
            more |= {"code_challenge": create_s256_code_challenge(verifier), "code_challenge_method": "S256"}
        url: str = prepare_grant_uri(
            filled(self.authorize_url, held), client.id, "code", redirect_uri=redirect_uri, state=state, **more
        )
        return url

    def exchange(
        self, held: Mapping[str, str], client: Client, *, code: str, redirect_uri: str, verifier: str
    ) -> TokenRequest:
        """Return the request that exchanges a code for tokens. The provider gave the code to the user's browser."""
        proof = {"code_verifier": verifier} if self.pkce else {}
        form = prepare_token_request("authorization_code", redirect_uri=redirect_uri, code=code, **proof)
        return self._request(held, form, client, self.client_auth)

    def renewal(self, held: Mapping[str, str], client: Client | None, now: datetime) -> TokenRequest | None:  # noqa: ARG002
        if client is None or not held.get(REFRESH):
            return None
        form = prepare_token_request("refresh_token", refresh_token=held[REFRESH])
        return self._request(held, form, client, self.client_auth)

    def device_code(self, held: Mapping[str, str], client: Client, scopes: Collection[str] = ()) -> TokenRequest:
        """Return the request for the codes with which a user grants the access on another device. `read_device` reads
        its answer.
        """
        form = {"client_id": client.id, **({"scope": scope} if (scope := self._scope(scopes)) else {})}
        return TokenRequest(filled(self.device_url, held), _FORM, urlencode(form).encode())

    def device_request(self, held: Mapping[str, str], client: Client, device_code: str) -> TokenRequest:
        """Return the request that asks whether the user has entered the code. Its answer holds the tokens then."""
        form = prepare_token_request(_DEVICE, device_code=device_code)
        return self._request(held, form, client, "none" if not client.secret else self.client_auth)


@dataclass(frozen=True, kw_only=True)
class ClientCredentials(TokenAuth):
    """Access of an app to what belongs to the app itself, with a client id and secret that the user enters (RFC 6749,
    section 4.4).

    `form` holds further parameters of the request, such as the audience.
    """

    client_auth: Literal["basic", "body"] = "basic"
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def entered(self) -> tuple[str, ...]:
        return ("client_id", "client_secret")

    def renewal(self, held: Mapping[str, str], client: Client | None, now: datetime) -> TokenRequest | None:  # noqa: ARG002
        form = prepare_token_request("client_credentials", scope=self._scope(()), **self.form)
        return self._request(held, form, Client(held["client_id"], held["client_secret"]), self.client_auth)


@dataclass(frozen=True, kw_only=True)
class ServiceAccount(TokenAuth):
    """Access with an assertion that is signed with a service account's key (RFC 7523).

    The optional field `subject` of the connection names the user for whom the account acts.
    https://developers.google.com/identity/protocols/oauth2/service-account
    """

    @property
    def entered(self) -> tuple[str, ...]:
        return ("client_email", "private_key")

    def renewal(self, held: Mapping[str, str], client: Client | None, now: datetime) -> TokenRequest | None:  # noqa: ARG002
        url, issued = filled(self.token_url, held), now - _EARLIER
        assertion = sign_jwt_bearer_assertion(
            key=_key(held["private_key"]),
            issuer=held["client_email"],
            audience=url,
            subject=held.get("subject"),
            issued_at=int(issued.timestamp()),
            claims={"scope": self._scope(())},
            alg="RS256",
        )
        form = prepare_token_request(_JWT_BEARER, assertion=assertion)
        return TokenRequest(url, _FORM, form.encode())


@dataclass(frozen=True, kw_only=True)
class AppInstallation(TokenAuth):
    """Access of a GitHub App to the accounts in which it is installed, with a token that is got with the app's key.

    https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/authenticating-as-a-github-app-installation
    """

    token_url: str = "https://api.github.com/app/installations/{installation_id}/access_tokens"
    lasts: timedelta | None = timedelta(hours=1)

    @property
    def entered(self) -> tuple[str, ...]:
        return ("app_id", "private_key")

    def renewal(self, held: Mapping[str, str], client: Client | None, now: datetime) -> TokenRequest | None:  # noqa: ARG002
        issued = int((now - _EARLIER).timestamp())
        claims = {"iat": issued, "exp": issued + int(_ASSERTED.total_seconds()), "iss": held["app_id"]}
        assertion = jwt.encode({"alg": "RS256"}, claims, _key(held["private_key"]), algorithms=["RS256"])
        headers = {
            "accept": "application/vnd.github+json",
            "content-type": "application/json",
            "authorization": f"Bearer {assertion}",
        }
        return TokenRequest(filled(self.token_url, held), headers, to_json({}))

    def granted(self, status: int, answer: Any) -> Grant:
        """Return the token in an answer in GitHub's form. Raise `TokenRefused` for 401, 403 and 404, and the errors of
        the base class otherwise.
        """
        if status in {401, 403, 404} and isinstance(answer, dict):
            raise TokenRefused(str(status), shown(answer.get("message")), ended=False)
        given = answer.get("token") if isinstance(answer, dict) else None
        return super().granted(status, {"access_token": given, "scope": None})


def read_device(answer: Any, status: int) -> DeviceCode:
    """Return the codes in an answer of the device endpoint. `answer` is its JSON.

    Raise `TokenRefused` if the answer is an error, and `ProviderFailed` if it holds no codes.
    """
    _raise_error(status, answer)
    try:
        read = _Device.model_validate(answer)
    except ValidationError:
        raise ProviderFailed(f"The provider's device endpoint answered {status} without its codes.") from None
    address = read.verification_uri or read.verification_url or ""
    if urlsplit(address).scheme not in {"https", "http"}:
        raise ProviderFailed("The provider's device endpoint named no address for its code.")
    complete = read.verification_uri_complete
    return DeviceCode(
        read.device_code,
        shown(read.user_code),
        address[:2000],
        complete[:2000] if complete and urlsplit(complete).scheme in {"https", "http"} else None,
        timedelta(seconds=min(max(read.expires_in, 0), 3600)),
        timedelta(seconds=min(max(read.interval, 1), 300)),
    )


def new_verifier() -> str:
    """Return a new PKCE verifier."""
    verifier: str = generate_token(64)
    return verifier


def filled(template: str, held: Mapping[str, str]) -> str:
    """Return an address with the values of a connection's fields in the places of their names in braces.

    The value at the beginning of the address may itself be an address. In all other values, the characters that divide
    an address are escaped.
    """
    first = next((name for text, name, _, _ in Formatter().parse(template) if name and not text), None)
    whole = first is not None and template.startswith("{") and held.get(first, "").startswith(("https://", "http://"))
    values = {name: quote(value, safe=":/" if whole and name == first else ":") for name, value in held.items()}
    return template.format_map(values)


def shown(text: Any) -> str:
    """Return what a provider said, at most 200 characters of it, without characters that can't be displayed."""
    plain = "".join(char for char in str(text or "") if char.isprintable())
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]}…"


def _raise_error(status: int, answer: Any) -> None:
    """Raise the error that an answer of a token endpoint means, if it means one. An error that the answer names counts
    with any status, because GitHub and Slack answer errors with 200.

    It is `TokenRefused` for an error of OAuth, and `ProviderFailed` for an error of a gateway and for another status
    than 2xx.
    """
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(error, dict):  # errors of gateways: {"error": {"code": 503, "message": …}}
        raise ProviderFailed(f"The provider's token endpoint answered {status}: {shown(error.get('message'))}")
    if isinstance(error, str) and error and status < 500:
        raise TokenRefused(shown(error), shown(answer.get("error_description")), ended=error in _ENDED)
    if not 200 <= status < 300:
        raise ProviderFailed(f"The provider's token endpoint answered {status}.")


def _scopes(given: Any) -> tuple[str, ...] | None:
    if not isinstance(given, str | list):
        return None
    named = given.replace(",", " ").split() if isinstance(given, str) else given
    return tuple(one[:_LONGEST] for one in named[:_MOST_SCOPES] if isinstance(one, str))


def _is_sendable(token: str) -> bool:
    """Return whether a token can stand in a header."""
    return 0 < len(token) <= _LONGEST_TOKEN and token.isascii() and token.isprintable() and " " not in token


def _at(answer: Any, path: str) -> Any:
    for part in path.split("."):
        answer = answer.get(part) if isinstance(answer, dict) else None
    return answer


def _has_fixed_host(template: str) -> bool:
    """Return whether no field can change the server of an address. With a field in the host, the host must end with a
    fixed domain of at least two names.
    """
    host = template.partition("://")[2].partition("/")[0]
    if "{" not in template.partition("://")[0] + host:
        return True
    tail = host.rpartition("}")[2]
    return template.startswith("https://") and tail.startswith(".") and "." in tail[1:]


def _key(pem: str) -> RSAKey:
    """Return the private key in a PEM text, whose line breaks may be written as in JSON. Raise `Invalid` if it is no
    private RSA key, or if it is too large.
    """
    text = pem.replace("\\n", "\n").strip()
    try:
        if len(text) > _LONGEST_KEY:
            raise ValueError
        key = RSAKey.import_key(text)
        if not key.is_private or key.raw_value.key_size > _LONGEST_KEY:
            raise ValueError
    except (ValueError, TypeError, JoseError):
        said = "This is no private RSA key in PEM, which begins with -----BEGIN."
        raise Invalid(None, Issue(("secrets", "private_key"), said, "invalid")) from None
    return key
