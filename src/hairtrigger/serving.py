"""Serve the application until a signal stops it, and then drain it."""

import asyncio
import gc
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import structlog
import typer

from hairtrigger import demo as demonstration
from hairtrigger.credentials import Credentials
from hairtrigger.first_start import Welcome, first_login
from hairtrigger.main import Application, running
from hairtrigger.platform import telemetry
from hairtrigger.platform.http_server import HttpServer
from hairtrigger.settings import Settings

log = structlog.get_logger()


def loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes uvloop's event loop, or None where uvloop cannot be installed, as on Windows."""
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
        async with _first_login(app) as first:
            if known := Credentials.load(settings.data_dir):
                replace(known, url=settings.url).save(settings.data_dir)
            if demo:
                app.asgi.routes.insert(0, demonstration.route())
            server = HttpServer(
                app.asgi,
                settings.patience,
                settings.stop_within,
                room=settings.room,
                proxies=settings.trusted_proxies,
            )
            stopping = _stop_signals()
            settled()
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            serving.add_done_callback(lambda _: stopping.set())
            while not server.started and not serving.done():  # noqa: ASYNC110 uvicorn has no event for its start
                await asyncio.sleep(0.01)
            running_at = f"hairtrigger is running at {settings.url}   (stop with Ctrl-C)"
            typer.echo(f"{running_at}\n{first.text()}" if first else running_at)  # one write: programs wait for it
        if demo:
            await stack.enter_async_context(demonstration.playing(app))
        await stopping.wait()
        await asyncio.gather(app.leave(), _close(server, serving, settings.unready_seconds))


@asynccontextmanager
async def _first_login(app: Application) -> AsyncIterator[Welcome | None]:
    if app.settings.role == "worker":
        yield None
        return
    async with first_login(app) as first:
        yield first


def settled() -> None:
    """Exempt all objects made so far from garbage collection, because they stay, and collect garbage less often.

    A collection of young objects stops the event loop: 100,000 of them take about 10 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 100)


async def _close(server: HttpServer, serving: asyncio.Task[None], unready_seconds: int) -> None:
    """Accept requests until load balancers have noticed the stop, then answer those under way and close."""
    await asyncio.sleep(unready_seconds)
    server.should_exit = True
    await serving


def _stop_signals() -> asyncio.Event:
    """Return an event that SIGINT and SIGTERM set. Before this call nothing needs a drain, and they end the process."""
    stopping = asyncio.Event()

    def stop() -> None:
        log.info("stopping: finishing what is under way")
        stopping.set()

    for signal_ in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_, stop)
    return stopping
