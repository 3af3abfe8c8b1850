"""Calls go through the operator's proxy, and trust the operator's authorities, under the same address policy."""

import base64
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from hairtrigger.platform.addresses import EgressPolicy
from hairtrigger.platform.egress import Egress, EgressFailed, Reason
from hairtrigger.platform.proxy import Proxy
from tests.support.certificates import certificate_for, serving_with
from tests.support.proxy import HttpProxy, proxying
from tests.support.servers import answering, serving

pytestmark = pytest.mark.anyio

PUBLIC, UNKNOWN = "93.184.216.34", "unknown.test"


def resolve(host: str, port: int) -> Sequence[str]:
    del port
    if host == UNKNOWN:
        raise socket.gaierror
    return {"private.test": ["10.0.0.1"]}.get(host, [host if host[0] in ":1" else PUBLIC])


def through(proxy: HttpProxy, user: str = "", **more: object) -> Egress:
    policy = EgressPolicy(proxy=Proxy.of(f"http://{user}127.0.0.1:{proxy.port}"))
    return Egress(replace(policy, **more), resolve=resolve)  # type: ignore[arg-type]


async def test_http_is_sent_to_the_proxy_in_full() -> None:
    async with serving(answering(200, b"hi")) as server:
        places = {"flow.test": ("127.0.0.1", server.port)}
        async with proxying(HttpProxy(places)) as proxy, through(proxy, "me:p%20w@") as egress:
            reply = await egress.send("POST", "http://flow.test/run?a=1", headers={"x-a": "1"}, body=b"body")

    assert reply.body == b"hi"
    assert proxy.lines == ["POST http://flow.test/run?a=1 HTTP/1.1"]
    assert f"proxy-authorization: Basic {base64.b64encode(b'me:p w').decode()}" in proxy.heads[0]
    (seen,) = server.seen
    assert (seen.path, seen.header("host"), seen.header("x-a"), seen.body) == ("/run?a=1", "flow.test", "1", b"body")


async def test_https_goes_through_a_tunnel_and_the_certificate_is_that_of_the_host(tmp_path: Path) -> None:
    certificate = certificate_for("flow.test", tmp_path)
    async with serving(answering(200, b"hi"), tls=serving_with(certificate)) as server:
        places = {"flow.test:443": ("127.0.0.1", server.port), "other.test:443": ("127.0.0.1", server.port)}
        async with proxying(HttpProxy(places)) as proxy, through(proxy, "me:pw@", authorities=certificate) as egress:
            replies = [await egress.send("GET", "https://flow.test/a"), await egress.send("GET", "https://flow.test/b")]
            with pytest.raises(EgressFailed) as failed:
                await egress.send("GET", "https://other.test/")

    assert [reply.body for reply in replies] == [b"hi", b"hi"]
    assert proxy.lines == ["CONNECT flow.test:443 HTTP/1.1", "CONNECT other.test:443 HTTP/1.1"], (
        "a tunnel is used again"
    )
    assert "proxy-authorization: Basic" in proxy.heads[0]
    assert [seen.path for seen in server.seen] == ["/a", "/b"]
    assert all(seen.header("proxy-authorization") is None for seen in server.seen)
    assert failed.value.reason is Reason.TLS


async def test_only_named_authorities_are_trusted_besides_the_usual_ones(tmp_path: Path) -> None:
    certificate = certificate_for("localhost", tmp_path)
    policy = EgressPolicy(allow=(ip_network("127.0.0.0/8"),))
    async with serving(answering(200, b"hi"), tls=serving_with(certificate)) as server:
        url = f"https://localhost:{server.port}/"
        async with Egress(policy, resolve=lambda *_: ["127.0.0.1"]) as egress:
            with pytest.raises(EgressFailed) as failed:
                await egress.send("GET", url)
        async with Egress(replace(policy, authorities=certificate), resolve=lambda *_: ["127.0.0.1"]) as egress:
            assert (await egress.send("GET", url)).body == b"hi"

    assert failed.value.reason is Reason.TLS


@pytest.mark.parametrize("url", ["http://private.test/", "https://private.test/", "https://10.0.0.1/", "http://[::1]/"])
async def test_the_proxy_is_asked_for_no_private_address(url: str) -> None:
    async with proxying(HttpProxy({})) as proxy, through(proxy) as egress:
        with pytest.raises(EgressFailed) as failed:
            await egress.send("GET", url)

    assert failed.value.reason is Reason.BLOCKED_ADDRESS
    assert proxy.heads == []


async def test_a_name_that_only_the_proxy_knows_is_left_to_it() -> None:
    async with (
        serving(answering(200, b"hi")) as server,
        proxying(HttpProxy({UNKNOWN: ("127.0.0.1", server.port)})) as proxy,
        through(proxy) as egress,
    ):
        assert (await egress.send("GET", f"http://{UNKNOWN}/")).body == b"hi"


async def test_places_that_the_operator_names_are_called_without_the_proxy() -> None:
    async with serving(answering(200, b"hi")) as server, proxying(HttpProxy({})) as proxy:
        allow = (ip_network("127.0.0.0/8"),)
        connect_to = {("api.test", 80): ("127.0.0.1", server.port)}
        async with through(proxy, allow=allow, connect_to=connect_to) as egress:
            assert (await egress.send("GET", server.url)).body == b"hi"
            assert (await egress.send("GET", "http://api.test/")).body == b"hi"

    assert proxy.heads == []


@pytest.mark.parametrize("refusal", ["403 Forbidden", "407 Proxy Authentication Required", "502 Bad Gateway"])
async def test_a_proxy_that_refuses_a_tunnel_is_told_to_the_operator(refusal: str) -> None:
    async def is_operator(_: str) -> bool:
        return True

    async with proxying(HttpProxy({}, refusal)) as proxy:
        policy = EgressPolicy(proxy=Proxy.of(f"http://127.0.0.1:{proxy.port}"))
        async with Egress(policy, resolve=resolve, is_operator=is_operator) as egress:
            with pytest.raises(EgressFailed) as failed:
                await egress.send("GET", "https://flow.test/")

    assert failed.value.reason is Reason.CONNECT
    assert f"the proxy answered {refusal[:3]}" in failed.value.message


@pytest.mark.parametrize(
    "url", ["https://proxy:3128", "proxy:3128", "http://", "http://proxy/path", "socks5://proxy:1080", "http://p:99999"]
)
def test_what_is_no_http_proxy_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"proxy|Port"):
        Proxy.of(url)


def test_the_password_of_a_proxy_is_not_shown() -> None:
    of: Callable[[str], Proxy] = Proxy.of

    assert "secret" not in repr(of("http://me:secret@proxy:3128"))
    assert of("http://proxy") == Proxy("proxy", 3128)
