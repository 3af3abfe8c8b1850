"""Jotform: webhooks of a form. https://api.jotform.com/docs/#form-id-webhooks"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hairtrigger.conformance import Hook, Recorded
from hairtrigger.domain.event import Draft
from hairtrigger.providers.jotform import provider
from tests.providers.hook_fake import HookFake, Kept, for_all

_FORM = "241234567890123"
_CONFIG = {"form_id": _FORM}


class Fake(HookFake):
    secrets = {"host": "api.jotform.com", "api_key": "right"}
    configs = for_all(provider, **_CONFIG)
    paged = False

    def authorized(self, request: Request) -> bool:
        return request.headers.get("apikey") == "right"

    def taken(self, asked: Any) -> tuple[str, str | None]:
        raise NotImplementedError

    def shown(self, hook: Kept) -> Mapping[str, Any]:
        raise NotImplementedError

    def hooks(self) -> list[Hook]:
        """Return the webhooks. The secret is a parameter of the address, which the rules don't know."""
        parts = [(one.url.partition("?")[0], dict(parse_qsl(urlsplit(one.url).query))) for one in self.kept]
        return [Hook(url, query.get("token")) for url, query in parts]

    def server(self) -> Starlette:
        async def webhooks(request: Request) -> Response:
            if not self.authorized(request):
                return JSONResponse({"responseCode": 401, "message": "You're not authorized"}, 401)
            if request.method == "POST":
                url = dict(parse_qsl((await request.body()).decode()))["webhookURL"]
                if url not in [one.url for one in self.kept]:
                    self.add(url, None)
            if request.method == "DELETE":
                place = int(request.path_params["place"])
                if place >= len(self.kept):
                    return JSONResponse({"responseCode": 404, "message": "not found"}, 404)
                del self.kept[place]  # those after it move up
            content: Any = {str(place): one.url for place, one in enumerate(self.kept)} or []
            return JSONResponse({"responseCode": 200, "message": "success", "content": content})

        path = f"/form/{_FORM}/webhooks"
        single = Route(f"{path}/{{place}}", webhooks, methods=["DELETE"])
        return Starlette(routes=[Route(path, webhooks, methods=["GET", "POST"]), single])


_RAW = '{"q3_name":"Ada","q4_email":"ada@example.com"}'
_PARTS = {"formID": _FORM, "submissionID": "5501234567890123456", "formTitle": "Tea", "rawRequest": _RAW}
_BODY = "".join(
    f'--xx\r\nContent-Disposition: form-data; name="{one}"\r\n\r\n{text}\r\n' for one, text in _PARTS.items()
)
_DRAFT = Draft(
    key="5501234567890123456",
    data=to_json({**_PARTS, "answers": json.loads(_RAW)}),
    subject="5501234567890123456",
)


def _headers(_: bytes, __: str, ___: datetime) -> Mapping[str, str]:
    return {"content-type": "multipart/form-data; boundary=xx"}


RECORDED = (
    Recorded(
        "on_form_submitted",
        drafts=[_DRAFT],
        body=f"{_BODY}--xx--\r\n".encode(),
        config=_CONFIG,
        sign=_headers,
        query="token",
    ),
)
