"""Serves the application until a signal stops it, and then drains it."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import replace
from datetime import timedelta

import structlog
import typer

from hairtrigger import demo as demonstration
from hairtrigger.api.app import BelowPath
from hairtrigger.credentials import Credentials
from hairtrigger.first_start import Welcome, first_login
from hairtrigger.main import Application, running
from hairtrigger.platform import telemetry
from hairtrigger.platform.http_server import HttpServer
from hairtrigger.platform.peers import Proxies
from hairtrigger.platform.stop_signals import StopSignals
from hairtrigger.settings import Settings

log = structlog.get_logger()


def loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the function that makes uvloop's event loops, or None if uvloop is not installed, as on Windows."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return None
    return uvloop.new_event_loop


async def run(settings: Settings, listener: socket.socket, *, demo: bool) -> None:
    """Run the service until a signal stops it, and drain it. A signal during the start cuts the start off."""
    telemetry.configure(json=settings.log_json)
    with StopSignals.caught() as stop:
        started = asyncio.Event()
        serving = asyncio.create_task(_serve(settings, listener, stop, started, demo=demo))
        await _first_of(serving, stop.asked)
        if started.is_set() or serving.done():
            await serving
            return
        log.info("stopping: the start is given up")
        serving.cancel()
        await asyncio.wait([serving])
        if not serving.cancelled() and (error := serving.exception()):  # what was cut off may complain about that
            log.info("the start that was given up ended", reason=repr(error))


async def _serve(
    settings: Settings, listener: socket.socket, stop: StopSignals, started: asyncio.Event, *, demo: bool
) -> None:
    if demo:
        settings = demonstration.prepared(settings)
    async with running(settings) as app, AsyncExitStack() as stack:
        async with _first_login(app) as first:
            if known := Credentials.load(settings.data_dir):
                replace(known, url=settings.local_url).save(settings.data_dir)
            if demo:
                app.asgi.routes.insert(0, demonstration.route())
            server = HttpServer(
                BelowPath(app.asgi, settings.url, Proxies(settings.trusted_proxies)),
                settings.patience,
                settings.stop_within,
                room=settings.room,
                proxies=settings.trusted_proxies,
            )
            settled()
            serving = await stack.enter_async_context(_listening(server, listener))
            running_at = f"hairtrigger is running at {settings.url}   (stop with Ctrl-C)\n\n{_places(settings)}"
            welcome = replace(first, demo=demo).text() if first else ""
            typer.echo(f"{running_at}\n{welcome}")  # one write: programs wait for it
        serving.add_done_callback(lambda _: stop.asked.set())
        started.set()
        async with demonstration.playing(app) if demo else nullcontext():
            await stop.asked.wait()
        log.info("stopping: finishing what is under way")
        draining = asyncio.create_task(_drain(app, server, serving, demo=demo))
        await _first_of(draining, stop.hurried)
        if not draining.done():
            log.info("stopping at once: what is under way is cut off or given back")
            draining.cancel()
            server.hurry()
            await app.leave(timedelta())
            await asyncio.wait([draining, serving])
        elif not draining.cancelled():
            draining.result()


def _places(settings: Settings) -> str:
    """Return lines for the user that say where the data or the key file are. If this process serves the APIs, the lines
    also give the address of their reference.
    """
    reads_on = [] if settings.role == "worker" else [f"  Reference   {settings.url}/docs"]
    if settings.database_url:
        return "\n".join([f"  Key file    {settings.vault_path}   (it opens the secrets in your database)", *reads_on])
    backup = "the database" if settings.vault_file else "the database and the key of its secrets"
    return "\n".join([f"  Data        {settings.data_dir}   ({backup}: back it up)", *reads_on])


async def _first_of(task: asyncio.Task[None], event: asyncio.Event) -> None:
    """Return when the task has ended or the event has been set."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


@asynccontextmanager
async def _listening(server: HttpServer, listener: socket.socket) -> AsyncIterator[asyncio.Task[None]]:
    """Answer requests at the listener while the block runs, and yield the task that does that."""
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started and not serving.done():  # noqa: ASYNC110 uvicorn has no event for its start
            await asyncio.sleep(0.01)
        yield serving
    finally:
        server.should_exit = True
        await asyncio.wait([serving])
    serving.result()


async def _drain(app: Application, server: HttpServer, serving: asyncio.Task[None], *, demo: bool) -> None:
    """Finish what is under way and stop the server. New requests are accepted for `unready_seconds` longer, until load
    balancers have noticed the stop.
    """
    if demo:  # what its triggers ask, and what they start, is this server
        await app.leave()

    async def close() -> None:
        await asyncio.sleep(app.settings.unready_seconds)
        server.should_exit = True
        await asyncio.wait([serving])

    await asyncio.gather(app.leave(), close())


@asynccontextmanager
async def _first_login(app: Application) -> AsyncIterator[Welcome | None]:
    if app.settings.role == "worker":
        yield None
        return
    async with first_login(app) as first:
        yield first


def settled() -> None:
    """Exempt all objects made so far from garbage collection, because they stay, and collect garbage less often.

    A collection stops the event loop for about 10 ms for each 100,000 young objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 100)
