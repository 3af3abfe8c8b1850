"""Serves the application until told to stop, and then drains it."""

import asyncio
import socket
from contextlib import AsyncExitStack

import typer
import uvicorn

from hairtrigger import demo as demonstration
from hairtrigger.first_start import welcome
from hairtrigger.main import running
from hairtrigger.platform import telemetry
from hairtrigger.settings import Settings


async def run(settings: Settings, listener: socket.socket, *, demo: bool) -> None:
    telemetry.configure(json=settings.log_json)
    if demo:
        settings = demonstration.prepared(settings)
    async with running(settings) as app, AsyncExitStack() as stack:
        first = await welcome(app)
        if demo:
            app.asgi.router.routes.insert(0, demonstration.route())
        server = uvicorn.Server(
            uvicorn.Config(app.asgi, log_config=None, access_log=False, server_header=False, lifespan="off")
        )
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)  # noqa: ASYNC110 uvicorn tells nobody when it has started
        typer.echo(f"hairtrigger is running at {settings.url}   (stop with Ctrl-C)")
        if first:
            typer.echo(first.text())
        if demo:
            await stack.enter_async_context(demonstration.playing(app))
        await serving
