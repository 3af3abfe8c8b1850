"""The floor: the webhook route without a database. The service can gain no more than its difference from the floor.

The HTTP server, its settings, the routes, the endpoint and the check of the secret are those of the service, and the
answer has the same shape. Nothing is looked up and nothing is stored.
"""

import asyncio
import os
import socket
import sys
from typing import cast

from fastapi import FastAPI
from pydantic_core import to_json
from starlette.routing import Router

from hairtrigger.api.app import service_app
from hairtrigger.api.webhooks import WebhookEndpoint
from hairtrigger.domain.ids import new_id
from hairtrigger.kit.handshake import Answer
from hairtrigger.kit.incoming import Request
from hairtrigger.kit.verify import Token
from hairtrigger.platform.http_server import HttpServer
from hairtrigger.services.ingest.ingest import Ingest
from hairtrigger.serving import loop, settled
from hairtrigger.settings import Settings


class Floor:
    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._verify = Token("X-Webhook-Secret")

    async def receive(self, webhook_id: str, request: Request) -> Answer:
        self._verify(request, [self._secret])
        events = [str(new_id(request.received_at))]
        return Answer(200, "application/json", to_json({"status": "accepted", "webhook": webhook_id, "events": events}))


def app(secret: str) -> Router:
    async def writable() -> bool:
        return True

    nothing = FastAPI(openapi_url=None)
    endpoint = WebhookEndpoint(cast("Ingest", Floor(secret)), "http://127.0.0.1", 1_048_576)
    return service_app(webhooks=endpoint, writable=writable, own=nothing, integrations=nothing, projects=nothing)


async def serve(listener: socket.socket, secret: str) -> None:
    """Serve with the same steps as `hairtrigger.serving.run`."""
    settings = Settings()
    server = HttpServer(app(secret), settings.patience, settings.stop_within)
    settled()
    await server.serve(sockets=[listener])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop()) as runner:
        runner.run(serve(socket.socket(fileno=int(sys.argv[1])), os.environ["SECRET"]))
