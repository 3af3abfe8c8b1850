"""The floor: the webhook route without a database. What is left to gain is what lies between it and the service.

The same HTTP server with the same settings, the same routes and middleware, the same reading of the request, the same
check of the secret, an answer of the same shape; nothing is looked up and nothing is stored.
"""

import asyncio
import os
import socket
import sys

import uvicorn
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from hairtrigger.api.app import service_app
from hairtrigger.api.webhooks import read_delivery
from hairtrigger.domain.ids import new_id
from hairtrigger.kit.verify import Token
from hairtrigger.serving import loop


def app(secret: str) -> Starlette:
    verify = Token("X-Webhook-Secret")

    async def accept(request: Request) -> Response:
        delivery = await read_delivery(request, "http://127.0.0.1", 1_048_576)
        verify(delivery, [secret])
        answer = to_json({"status": "accepted", "events": [str(new_id(delivery.received_at))]})
        return Response(answer, 200, {"content-type": "application/json"})

    async def writable() -> bool:
        return True

    nothing = Starlette()
    return service_app(webhooks=accept, writable=writable, own=nothing, integrations=nothing, projects=nothing)


async def serve(listener: socket.socket, secret: str) -> None:
    """As `hairtrigger.serving.run` does."""
    config = uvicorn.Config(app(secret), log_config=None, access_log=False, server_header=False, lifespan="off")
    await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop()) as runner:
        runner.run(serve(socket.socket(fileno=int(sys.argv[1])), os.environ["SECRET"]))
