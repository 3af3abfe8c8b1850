from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from hairtrigger import kit
from hairtrigger.domain.errors import CallRefused, CredentialsRefused, MissingAtProvider, ProviderFailed
from hairtrigger.kit.auth import Auth, Bearer, Carried, KeyHeader, KeyParameter, NoAuth, UserAndPassword
from hairtrigger.kit.config import Payload
from hairtrigger.kit.http import Api, header, read

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass
class Provider:
    """A provider that gives the same answer to every request, and remembers the last request."""

    answer: Answer = field(default_factory=Answer)
    asked: dict[str, Any] = field(default_factory=dict)

    async def send(self, method: str, url: str, **more: Any) -> Answer:
        self.asked = {"method": method, "url": url, **more}
        return self.answer


class Thing(Payload):
    id: int


def api(provider: Provider, base_url: str = "https://api.example.com/v3/") -> Api:
    return Api(provider, base_url, Carried({"authorization": "Bearer x"}))


@pytest.mark.parametrize(
    ("base_url", "path", "url"),
    [
        ("https://api.example.com/v3/", "things/1", "https://api.example.com/v3/things/1"),
        ("https://api.example.com", "things/1", "https://api.example.com/things/1"),
    ],
)
async def test_a_path_is_below_the_base_address(base_url: str, path: str, url: str) -> None:
    provider = Provider()

    await api(provider, base_url).get(path)

    assert provider.asked["url"] == url


async def test_without_a_base_address_a_call_names_its_own() -> None:
    provider = Provider()

    await Api(provider, "").get("https://blog.example.com/feed")

    assert provider.asked["url"] == "https://blog.example.com/feed"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://other.example.com/v3/next",
        "//other.example.com/next",
        "http://api.example.com/v3/",
        "https://api.example.com:444/",
    ],
)
async def test_no_other_server_is_given_the_credentials(elsewhere: str) -> None:
    provider = Provider()

    with pytest.raises(ProviderFailed, match="another server"):
        await api(provider).get(elsewhere)
    assert not provider.asked

    await api(provider).get("https://api.example.com/v3/next?page=2")
    assert provider.asked["url"] == "https://api.example.com/v3/next?page=2"


@pytest.mark.parametrize(
    ("auth", "held", "headers", "url"),
    [
        (Bearer("key", also={"v": "1"}), {"key": "x"}, {"v": "1", "authorization": "Bearer x"}, "things?a=1"),
        (KeyHeader("x-key", "key", "Token "), {"key": "x"}, {"x-key": "Token x"}, "things?a=1"),
        (KeyParameter("hapikey", "key"), {"key": "x&y"}, {}, "things?a=1&hapikey=x%26y"),
        (UserAndPassword("user", "key"), {"user": "ü", "key": "y"}, {"authorization": "Basic w7w6eQ=="}, "things?a=1"),
        (UserAndPassword("key", ""), {"key": "x"}, {"authorization": "Basic eDo="}, "things?a=1"),
        (NoAuth(), {}, {}, "things?a=1"),
    ],
)
async def test_calls_carry_the_credentials(
    auth: Auth, held: Mapping[str, str], headers: Mapping[str, str], url: str
) -> None:
    provider = Provider()
    assert set(auth.secrets) == set(held)

    await Api(provider, "https://api.example.com/", auth.carried(held)).get("things", {"a": 1})

    assert provider.asked["headers"] == headers
    assert provider.asked["url"] == f"https://api.example.com/{url}"


@pytest.mark.parametrize(
    ("site", "address"),
    [
        ("acme", "https://acme.example.com/bot123:x/"),
        ("evil.com/", "https://evil.com%2F.example.com/bot123:x/"),
        ("me@evil.com#", "https://me%40evil.com%23.example.com/bot123:x/"),
    ],
)
def test_a_field_of_the_address_stays_in_its_place(site: str, address: str) -> None:
    provider = kit.Provider(
        id="one", name="One", triggers=(), base_url="https://{site}.example.com/bot{token}/", auth=Bearer("key")
    )

    assert provider.fields == ("site", "token", "key")
    assert provider.address({"site": site, "token": "123:x", "key": "{other}"}) == address


async def test_a_question_carries_its_parameters_and_the_credentials() -> None:
    provider = Provider(Answer(body=b'{"id": 1}'))

    found = await api(provider).get("things", {"limit": 3, "type": "a b", "tag": ["x", "y"]})

    assert found == {"id": 1}
    assert provider.asked["url"] == "https://api.example.com/v3/things?limit=3&type=a+b&tag=x&tag=y"
    assert provider.asked["headers"] == {"authorization": "Bearer x"}


async def test_a_form_and_json_say_what_they_are() -> None:
    provider = Provider()

    await api(provider).post_form("things", [("event[]", "a"), ("event[]", "ü")])
    assert provider.asked["body"] == b"event%5B%5D=a&event%5B%5D=%C3%BC"
    assert provider.asked["headers"]["content-type"] == "application/x-www-form-urlencoded"

    await api(provider).put("things/1", {"name": "ü"})
    assert provider.asked["body"] == '{"name":"ü"}'.encode()
    assert provider.asked["headers"]["content-type"] == "application/json"


async def test_only_what_changes_nothing_follows_redirects() -> None:
    provider = Provider()

    await api(provider).get("things")
    assert provider.asked["redirects"] == "follow"

    for change in (api(provider).post("things", {}), api(provider).put("things", {}), api(provider).delete("things")):
        await change
        assert provider.asked["redirects"] == "manual"


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (302, ProviderFailed),
        (400, CallRefused),
        (401, CredentialsRefused),
        (403, CredentialsRefused),
        (404, MissingAtProvider),
        (500, ProviderFailed),
    ],
)
async def test_without_credentials_none_can_be_refused(status: int, failure: type[ProviderFailed]) -> None:
    without = Api(Provider(Answer(status)), "https://api.example.com")
    with pytest.raises(ProviderFailed) as raised:
        await without.get("things")

    assert type(raised.value) is (ProviderFailed if failure is CredentialsRefused else failure)


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_are_told_from_other_failures(status: int) -> None:
    with pytest.raises(CredentialsRefused):
        await api(Provider(Answer(status))).get("things")


@pytest.mark.parametrize(
    ("status", "failure"),
    [(302, ProviderFailed), (400, CallRefused), (404, MissingAtProvider), (500, ProviderFailed)],
)
async def test_an_answer_that_is_no_success_is_a_failure(status: int, failure: type[ProviderFailed]) -> None:
    with pytest.raises(failure) as raised:
        await api(Provider(Answer(status))).get("things")

    assert type(raised.value) is failure


async def test_a_provider_may_say_when_to_come_back() -> None:
    with pytest.raises(ProviderFailed) as raised:
        await api(Provider(Answer(429, headers=(("retry-after", "30"),)))).get("things")

    assert raised.value.retry_after == timedelta(seconds=30)


async def test_a_403_that_says_when_to_come_back_is_no_refusal_of_credentials() -> None:
    spent = (("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "30"))
    with pytest.raises(ProviderFailed) as raised:
        await api(Provider(Answer(403, headers=spent))).get("things")

    assert (type(raised.value), raised.value.retry_after) == (ProviderFailed, timedelta(seconds=30))


async def test_the_longest_wait_that_any_answer_asked_for_is_remembered() -> None:
    spent = (("ratelimit-remaining", "0"), ("ratelimit-reset", "60"))
    calls = api(Provider(Answer(200, b"[]", spent)))
    await calls.get("things")
    calls.quota.note(200, (("ratelimit-remaining", "0"), ("ratelimit-reset", "30")))
    calls.quota.note(200, ())

    assert calls.quota.wait == timedelta(seconds=60)


async def test_not_modified_is_no_failure() -> None:
    reply = await api(Provider(Answer(304, headers=(("etag", '"1"'),)))).send("GET", "feed")

    assert (reply.status, header(reply, "etag"), header(reply, "age")) == (304, '"1"', None)


async def test_an_answer_that_is_not_json_is_the_provider_s_failure() -> None:
    with pytest.raises(ProviderFailed, match="not JSON"):
        await api(Provider(Answer(body=b"<html>"))).get("things")


async def test_no_answer_is_none() -> None:
    assert await api(Provider(Answer(204, b""))).get("things") is None


def test_an_answer_of_the_known_shape_is_read() -> None:
    assert read(Thing, {"id": 1, "more": 2}) == Thing(id=1)


@pytest.mark.parametrize("answer", [None, [], {}, {"id": None}, "text"])
def test_an_answer_of_another_shape_is_the_provider_s_failure(answer: Mapping[str, Any] | None) -> None:
    with pytest.raises(ProviderFailed, match=r"(id|the body) is missing or of the wrong type\."):
        read(Thing, answer)


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (400, b'{"message": "An admin is required."}', "The provider answered 400: An admin is required."),
        (422, b'{"errors": [{"message": "url is taken"}]}', "The provider answered 422: url is taken."),
        (400, b'{"ok": false, "description": "bad webhook"}', "The provider answered 400: bad webhook."),
        (400, b'{"message": "the key s3cret-key is wrong"}', "The provider answered 400."),
        (400, b'{"message": {"text": "no"}}', "The provider answered 400."),
        (400, b"<html>", "The provider answered 400."),
        (400, b'{"message": "' + b"a" * 300 + b'"}', f"The provider answered 400: {'a' * 200}."),
        (403, b'{"error": "insufficient_scope"}', "The provider refused access with 403: insufficient_scope."),
    ],
)  # fmt: skip
async def test_an_error_says_what_the_provider_says_without_its_credentials(
    status: int, body: bytes, message: str
) -> None:
    called = Api(Provider(Answer(status, body)), "https://a.example/", Carried({"authorization": "Bearer s3cret-key"}))

    with pytest.raises((ProviderFailed, CredentialsRefused)) as raised:
        await called.get("things")

    assert str(raised.value) == message


async def test_credentials_in_the_address_can_be_refused_and_are_not_told() -> None:
    answer = Answer(401, b'{"description": "bot123456:right is unknown"}')
    called = Api(Provider(answer), "https://a.example/bot123456:right/", secrets=("123456:right",))

    with pytest.raises(CredentialsRefused, match=r"^The provider refused access with 401\.$"):
        await called.get("getMe")


@pytest.mark.parametrize(
    ("answer", "error", "message", "wait"),
    [
        ('{"errors": [{"message": "Not allowed", "extensions": {"code": "FORBIDDEN"}}]}', CredentialsRefused,
         "The provider refused access: Not allowed.", None),
        ('{"data": null, "errors": [{"message": "Slow down", "extensions": {"code": "THROTTLED"}}]}', ProviderFailed,
         "The provider's answer has an error: Slow down.", timedelta(seconds=30)),
        ('{"data": {"a": 1}, "errors": [{"message": "b is missing"}]}', ProviderFailed,
         "The provider's answer has an error: b is missing.", None),
        ("[]", ProviderFailed, "The provider's answer has an error: there is no data.", None),
    ],
)  # fmt: skip
async def test_an_answer_of_graphql_with_errors_is_no_answer(
    answer: str, error: type[Exception], message: str, wait: timedelta | None
) -> None:
    with pytest.raises(error) as raised:
        await api(Provider(Answer(body=answer.encode()))).graphql("graphql", "{ a b }")

    assert str(raised.value) == message
    assert getattr(raised.value, "retry_after", None) == wait


async def test_a_graphql_answer_is_its_data() -> None:
    provider = Provider(Answer(body=b'{"data": {"a": 1}}'))

    assert await api(provider).graphql("graphql", "query($n: Int) { a(n: $n) }", n=7) == {"a": 1}
    assert provider.asked["body"] == b'{"query":"query($n: Int) { a(n: $n) }","variables":{"n":7}}'


def test_several_secrets_are_carried_in_one_header() -> None:
    way = kit.HeaderTemplate("authorization", 'OAuth key="{key}", token="{token}"')

    assert way.secrets == ("key", "token")
    assert way.carried({"key": "a", "token": "b"}).headers == {"authorization": 'OAuth key="a", token="b"'}


def test_a_suffix_follows_the_user() -> None:
    way = kit.UserAndPassword("email", "api_token", user_suffix="/token")

    assert way.carried({"email": "a@b.c", "api_token": "t"}).headers == {"authorization": "Basic YUBiLmMvdG9rZW46dA=="}
