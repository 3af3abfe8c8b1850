"""Requests for tokens have the forms of their specifications, and are signed so that others can check them."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jwt
from joserfc.jwk import RSAKey

from hairtrigger import kit
from hairtrigger.domain.errors import Invalid, ProviderFailed
from hairtrigger.kit.oauth import Client, TokenAuth, TokenRefused, TokenRequest, filled, read_device, shown

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
KEY = rsa.generate_private_key(65537, 2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
GOOGLE = kit.ServiceAccount(token_url="https://oauth2.test/token", scopes=("mail", "calendar"))


def _form(request: TokenRequest | None) -> dict[str, str]:
    assert request
    return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}


def _claims(token: str) -> dict[str, Any]:
    public = RSAKey.import_key(
        KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return dict(jwt.decode(token, public, algorithms=["RS256"]).claims)


@pytest.mark.parametrize("pem", [PEM, PEM.replace("\n", "\\n"), f"  {PEM}\n"])
def test_a_service_account_signs_what_it_asks_for(pem: str) -> None:
    held = {"client_email": "robot@project.test", "private_key": pem, "subject": "ada@corp.test"}
    form = _form(GOOGLE.renewal(held, None, NOW))
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    claims = _claims(form["assertion"])
    assert (claims["iss"], claims["sub"], claims["aud"]) == (
        "robot@project.test",
        "ada@corp.test",
        "https://oauth2.test/token",
    )
    assert claims["scope"] == "mail calendar"
    assert claims["iat"] <= NOW.timestamp() < claims["exp"] <= NOW.timestamp() + 3600


def test_an_app_signs_as_github_asks() -> None:
    held = {"app_id": "123", "installation_id": "9/../8", "private_key": PEM}
    request = kit.AppInstallation().renewal(held, None, NOW)
    assert request
    assert request.url == "https://api.github.com/app/installations/9%2F..%2F8/access_tokens"
    claims = _claims(request.headers["authorization"].removeprefix("Bearer "))
    assert claims == {"iss": "123", "iat": NOW.timestamp() - 60, "exp": NOW.timestamp() + 480}


def test_an_installation_s_token_is_read_from_github_s_answer() -> None:
    grant = kit.AppInstallation().granted(201, {"token": "ghs_1", "expires_at": "2026-11-29T13:00:00Z"})
    assert (grant.access_token, grant.lasts) == ("ghs_1", timedelta(hours=1))
    with pytest.raises(TokenRefused, match="A JSON web token could not be decoded"):
        kit.AppInstallation().granted(401, {"message": "A JSON web token could not be decoded"})
    with pytest.raises(ProviderFailed):
        kit.AppInstallation().granted(500, {"message": "x"})


def _other_pem(key: Any) -> str:
    return str(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
    )


@pytest.mark.parametrize(
    "pem",
    [
        "",
        "x",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        "x" * 100_000,
        _other_pem(ec.generate_private_key(ec.SECP256R1())),
        KEY.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode(),
    ],
)
def test_a_key_that_can_not_sign_is_refused(pem: str) -> None:
    with pytest.raises(Invalid, match="no private RSA key"):
        GOOGLE.renewal({"client_email": "a", "private_key": pem}, None, NOW)


def test_the_client_names_itself_as_the_provider_asks() -> None:
    for way, header, in_body in (("basic", True, False), ("body", False, True), ("none", False, False)):
        auth = kit.OAuth2(token_url="https://a.test/t", authorize_url="https://a.test/a", client_auth=way)  # type: ignore[arg-type]
        request = auth.renewal({"refresh_token": "r"}, Client("id", "secret"), NOW)
        assert request
        assert ("Authorization" in request.headers) is header
        assert ("client_secret" in _form(request)) is in_body
        assert "secret" not in repr(request)
        assert request.headers["accept"] == "application/json"


def test_scopes_may_be_separated_otherwise_and_named_otherwise() -> None:
    slack = kit.OAuth2(
        token_url="https://a.test/t",
        authorize_url="https://a.test/a",
        scopes=("chat:write",),
        separator=",",
        scope_parameter="user_scope",
    )
    url = slack.authorize_at(
        {}, Client("id"), redirect_uri="https://h.test", state="s", verifier="v" * 43, scopes=["x"]
    )
    assert "user_scope=chat%3Awrite%2Cx" in url


def test_parts_of_an_answer_are_kept_for_the_address() -> None:
    auth = kit.OAuth2(
        token_url="https://login.test/token", authorize_url="https://login.test/a", keep={"server": "instance.url"}
    )
    provider = kit.Provider(id="crm", name="CRM", base_url="{server}/api/", auth=auth, triggers=())
    assert provider.entered == ()
    grant = auth.granted(200, {"access_token": "a", "instance": {"url": "https://eu7.crm.test"}})
    held = grant.held({})
    assert provider.address(held) == "https://eu7.crm.test/api/"
    assert filled("https://{server}.crm.test/", held) == "https://https:%2F%2Feu7.crm.test.crm.test/"


@pytest.mark.parametrize(
    ("template", "fixed"),
    [
        ("https://login.test/token", True),
        ("https://login.test/{tenant}/token", True),
        ("https://{site}.desk.test/token", True),
        ("https://{site}.test/token", False),
        ("https://{site}/token", False),
        ("http://{site}.desk.test/token", False),
        ("{server}/token", False),
        ("https://login.test:{port}/token", False),
    ],
)
def test_a_server_that_a_field_may_choose_is_known(template: str, fixed: bool) -> None:
    assert kit.OAuth2(token_url=template).is_fixed is fixed


@pytest.mark.parametrize(
    ("status", "answer", "error"),
    [
        (200, {"error": "bad_verification_code", "error_description": "It expired."}, TokenRefused),  # GitHub
        (200, {"ok": False, "error": "invalid_code"}, TokenRefused),  # Slack
        (400, {"error": "invalid_grant"}, TokenRefused),
        (400, {"error": {"code": 400, "message": "Bad"}}, ProviderFailed),
        (400, {}, ProviderFailed),
        (503, {"error": "temporarily_unavailable"}, ProviderFailed),
        (200, [], ProviderFailed),
        (200, None, ProviderFailed),
        (200, "token", ProviderFailed),
        (200, {"access_token": {"a": 1}}, ProviderFailed),
    ],
)
def test_an_answer_without_a_token_is_an_error(status: int, answer: Any, error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        kit.OAuth2(token_url="https://a.test").granted(status, answer)
    assert type(raised.value) is error


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        {"device_code": "d", "user_code": "u", "verification_uri": "javascript:alert(1)", "expires_in": 5},
        {"device_code": "d", "user_code": "u", "expires_in": 5},
        {"device_code": "d", "user_code": "u", "verification_uri": "https://a.test", "expires_in": "soon"},
    ],
)
def test_a_device_answer_without_codes_is_an_error(answer: Any) -> None:
    with pytest.raises(ProviderFailed):
        read_device(answer, 200)


def test_the_times_of_a_device_code_are_bounded() -> None:
    given = {
        "device_code": "d",
        "user_code": "u",
        "verification_url": "https://a.test",
        "expires_in": 1e9,
        "interval": 0,
    }
    code = read_device(json.loads(json.dumps(given)), 200)
    assert (code.lasts, code.interval) == (timedelta(hours=1), timedelta(seconds=1))


def test_what_a_provider_says_is_cut_short_and_has_no_control_characters() -> None:
    assert shown("a\x00b\r\nc\x1b[31m") == "abc[31m"
    assert len(shown("x" * 5000)) == 201
    assert shown(None) == ""
    assert isinstance(GOOGLE, TokenAuth)
