"""The route `/v1/webhooks/{webhook_id}`. It is the hot path, so nothing but a router stands before it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic_core import to_json
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from hairtrigger.api.bodies import read_body
from hairtrigger.api.errors import detail, headers_of, status_of
from hairtrigger.domain.errors import HairtriggerError, Unavailable
from hairtrigger.kit.handshake import Answer
from hairtrigger.kit.incoming import Headers, Request
from hairtrigger.platform.http_server import NO_ROOM
from hairtrigger.services.ingest.ingest import Ingest

_NO_MORE: Mapping[str, str] = {}


@dataclass(frozen=True)
class WebhookEndpoint:
    """The webhook route as an ASGI application.

    Starlette would wrap a function, and that wrapper costs as much as the route itself.
    """

    ingest: Ingest
    public_url: str
    max_body: int
    leaving: Callable[[], bool] = lambda: False  # if true, answers tell clients to use a new connection next time

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        webhook_id = scope["path_params"]["webhook_id"]
        try:
            request = await read_request(scope, receive, self.public_url, self.max_body)
            answer = await self.ingest.receive(webhook_id, request)
        except ClientDisconnect:  # no answer is sent: the client is gone or has its answer already
            no_room = Unavailable("Too much was being received.") if NO_ROOM in scope.get("state", ()) else None
            self.ingest.refusals.turned_away(webhook_id, no_room)
        except HairtriggerError as error:
            self.ingest.refusals.turned_away(webhook_id, error)
            await self._refuse(send, error)
        else:
            await self._send(send, answer)

    async def _refuse(self, send: Send, error: HairtriggerError) -> None:
        status = status_of(error)
        media_type, body = detail(status, error.message, error)
        await self._send(send, Answer(status, media_type, to_json(body)), headers_of(error))

    async def _send(self, send: Send, answer: Answer, more: Mapping[str, str] = _NO_MORE) -> None:
        headers = [(name.encode(), value.encode()) for name, value in (*answer.headers.items(), *more.items())]
        headers.append((b"content-length", b"%d" % len(answer.body)))
        if self.leaving():
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})


async def read_request(scope: Scope, receive: Receive, public_url: str, max_body: int) -> Request:
    """Return the request as its sender made it, with its whole body and with the URL that the sender knows.

    Raises `TooLarge` and `ClientDisconnect`, as `read_body` does.
    """
    path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
    path = path.removeprefix(scope.get("root_path", ""))  # the public address has it already
    headers = Headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
    return Request(
        method=scope["method"],
        url=f"{public_url}{path}?{query}" if query else f"{public_url}{path}",
        headers=headers,
        body=await read_body(receive, headers.get("content-length", ""), max_body),
        received_at=datetime.now(UTC),
        most=max_body,
    )
