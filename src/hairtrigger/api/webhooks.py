"""`POST /v1/webhooks/{webhook_id}`: the hot path, without a framework in between."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from hairtrigger.api.errors import detail, headers_of, status_of
from hairtrigger.domain.errors import HairtriggerError, TooLarge
from hairtrigger.kit.delivery import Headers, Request
from hairtrigger.services.ingest import Ingest


def webhook_endpoint(ingest: Ingest, public_url: str, max_body: int) -> Callable[[HttpRequest], Awaitable[Response]]:
    async def endpoint(request: HttpRequest) -> Response:
        try:
            delivery = await read_delivery(request, public_url, max_body)
            answer = await ingest.receive(request.path_params["webhook_id"], delivery)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        except HairtriggerError as error:
            status = status_of(error)
            _, body = detail(status, error.message, error)
            return JSONResponse(body, status, headers_of(error))
        return Response(answer.body, answer.status, answer.headers)

    return endpoint


async def read_delivery(request: HttpRequest, public_url: str, max_body: int) -> Request:
    """The request as its sender made it, at the address the sender knows."""
    path, query = (request.scope[part].decode("latin-1") for part in ("raw_path", "query_string"))
    return Request(
        method=request.method,
        url=f"{public_url}{path}?{query}" if query else f"{public_url}{path}",
        headers=Headers(request.headers.items()),
        body=await _read(request, max_body),
        received_at=datetime.now(UTC),
    )


async def _read(request: HttpRequest, limit: int) -> bytes:
    """The body, refused while it is read and not after."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise TooLarge(f"The body is larger than {limit} bytes.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise TooLarge(f"The body is larger than {limit} bytes.")
    return bytes(body)
