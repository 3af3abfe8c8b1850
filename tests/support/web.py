"""ASGI programs on a real socket."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

T = TypeVar("T")


@asynccontextmanager
async def mounted(apps: Mapping[str, ASGIApp]) -> AsyncIterator[str]:
    """Serve each app at its path, and yield the address of all."""
    root = Starlette(routes=[Mount(path, app) for path, app in apps.items()])
    server = uvicorn.Server(uvicorn.Config(root, log_config=None, lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await serving
