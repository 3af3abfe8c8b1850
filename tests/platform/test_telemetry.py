import asyncio
import json
import logging
import socket
from collections.abc import Iterator
from ipaddress import ip_network

import pytest
import structlog
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from hairtrigger.platform.egress import Egress, EgressPolicy
from hairtrigger.platform.telemetry import configure, mask_access_log, masked_path

LOOPBACK = EgressPolicy(allow=(ip_network("127.0.0.0/8"),))
DEPRECATED = "/organizations/acme/triggers/8f14e45f/{}/key/{}"


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    logging.getLogger("uvicorn.access").removeFilter(mask_access_log)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.mark.parametrize("kind", ["webhook", "webook", "polling", "scheduled"])
def test_the_key_in_a_deprecated_path_is_masked(kind: str) -> None:
    assert masked_path(DEPRECATED.format(kind, "sk-1")) == DEPRECATED.format(kind, "***")
    assert masked_path(DEPRECATED.format(kind, "sk-1?provider_id=stripe")) == DEPRECATED.format(kind, "***?***")


def test_a_path_without_a_secret_stays_as_it_is() -> None:
    assert masked_path("/v1/webhooks/8f14e45f") == "/v1/webhooks/8f14e45f"
    assert masked_path("/v1/keys") == "/v1/keys"


def test_a_query_is_never_logged() -> None:
    assert masked_path("/v1/webhooks/8f14e45f?token=t0p") == "/v1/webhooks/8f14e45f?***"


@given(secret=st.from_regex(r"[!-~]{8,40}", fullmatch=True).filter(lambda s: s.strip("*/?") == s))
def test_no_spelling_of_a_key_is_left(secret: str) -> None:
    assert secret not in masked_path(DEPRECATED.format("webhook", secret))
    assert secret not in masked_path(DEPRECATED.format("webhook", f"/{secret}").upper().replace(secret.upper(), secret))


@pytest.mark.anyio
async def test_an_access_log_line_names_the_route_and_not_the_key(capsys: pytest.CaptureFixture[str]) -> None:
    async def accept(_: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    configure(json=True)
    app = Starlette(routes=[Route("/{path:path}", accept, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        async with Egress(LOOPBACK) as egress:
            port = listening.getsockname()[1]
            path = DEPRECATED.format("webhook", "sk-t0p-secret")
            await egress.send("POST", f"http://127.0.0.1:{port}{path}?token=t0p-secret")
        server.should_exit = True
        await serving

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (access,) = [line for line in lines if line["logger"] == "uvicorn.access"]
    assert access["event"].endswith(f'"POST {DEPRECATED.format("webhook", "***")} HTTP/1.1" 200')
    assert not any("t0p" in str(line) for line in lines)


def test_our_lines_and_the_libraries_look_alike(capsys: pytest.CaptureFixture[str]) -> None:
    configure(json=True)
    structlog.contextvars.bind_contextvars(trace_id="4bf9")

    structlog.get_logger("ours").info("event.stored", trigger="on_push")
    logging.getLogger("theirs").warning("slow %s", "query")

    ours, theirs = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (ours.pop("timestamp")[-1], theirs.pop("timestamp")[-1]) == ("Z", "Z")
    assert ours == {
        "event": "event.stored",
        "level": "info",
        "logger": "ours",
        "trigger": "on_push",
        "trace_id": "4bf9",
    }
    assert theirs == {"event": "slow query", "level": "warning", "logger": "theirs", "trace_id": "4bf9"}


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_shows_no_local_variables_and_no_key(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    path, token = DEPRECATED.format("polling", "sk-1"), "t0p-secret"

    def fail(credential: str) -> None:
        raise ValueError(path)

    configure(json=as_json)
    try:
        fail(token)
    except ValueError:
        structlog.get_logger().exception("poll.failed")

    written = capsys.readouterr().err
    assert "poll.failed" in written
    assert "ValueError" in written
    assert "/key/***" in written
    assert "sk-1" not in written
    assert token not in written


def test_lines_below_the_level_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure(json=True, level="WARNING")

    structlog.get_logger().info("quiet")
    logging.getLogger("theirs").info("quiet")

    assert capsys.readouterr().err == ""
