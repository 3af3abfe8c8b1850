"""Serves the application until told to stop, and then drains it."""

import asyncio
import gc
import signal
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import structlog
import typer

from hairtrigger import demo as demonstration
from hairtrigger.credentials import Credentials
from hairtrigger.first_start import welcome
from hairtrigger.main import running
from hairtrigger.platform import telemetry
from hairtrigger.platform.http_server import HttpServer
from hairtrigger.settings import Settings

log = structlog.get_logger()


def loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one: on Windows there is none."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return None
    return uvloop.new_event_loop


async def run(settings: Settings, listener: socket.socket, *, demo: bool) -> None:
    telemetry.configure(json=settings.log_json)
    if demo:
        settings = demonstration.prepared(settings)
    async with running(settings) as app, AsyncExitStack() as stack:
        first = await welcome(app)
        if known := Credentials.load(settings.data_dir):
            replace(known, url=settings.url).save(settings.data_dir)
        if demo:
            app.asgi.routes.insert(0, demonstration.route())
        server = HttpServer(app.asgi, settings.patience, settings.stop_within)
        _stop_at_signals(server)
        settled()
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started and not serving.done():  # noqa: ASYNC110 uvicorn tells nobody when it has started
            await asyncio.sleep(0.01)
        typer.echo(f"hairtrigger is running at {settings.url}   (stop with Ctrl-C)")
        if first:
            typer.echo(first.text())
        if demo:
            await stack.enter_async_context(demonstration.playing(app))
        await serving


def settled() -> None:
    """What was built until now stays: the collector of garbage need not look at it again, nor look so often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _stop_at_signals(server: HttpServer) -> None:
    """uvicorn stops at them too and raises them again, which must not end us before we have drained.

    Until here there is nothing to drain, and a signal ends the process as it ends any other.
    """

    def stop() -> None:
        log.info("stopping: finishing what is under way")
        server.should_exit = True

    for signal_ in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_, stop)
