"""Plain pages for the browsers of users that connect their accounts. They run no script, and load nothing."""

import base64
import hashlib
from collections.abc import Mapping
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from hairtrigger.api.errors import status_of
from hairtrigger.domain.errors import HairtriggerError
from hairtrigger.services.setup.authorizations import CALLBACK, Authorizations

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:4em auto;padding:0 1em;color:#222;background:#fff}"
    "h1{font-size:1.4em}label{display:block;margin:1em 0}input{display:block;width:100%;padding:.5em;font:inherit}"
    "a.go,button{display:inline-block;padding:.6em 1.2em;font:inherit;color:#fff;background:#1a56b0;border:0;"
    "text-decoration:none}"
)
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "x-robots-tag": "noindex",
}
_MOST_TAKEN = 4096  # characters of a parameter that is read


def page(title: str, *parts: str, status: int = 200) -> Response:
    """Return a page. `title` is a text, and each of `parts` is HTML already."""
    text = escape(title)
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{text}</title><style>{_STYLE}</style></head><body><h1>{text}</h1>{''.join(parts)}</body></html>"
    )
    return HTMLResponse(html, status, _HEADERS)


def paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def failed(error: HairtriggerError) -> Response:
    return page("Not connected", paragraph(error.message), status=status_of(error))


def oauth_pages(authorizations: Authorizations) -> list[Route]:
    """Return the route to which every provider sends its answers."""

    async def callback(request: Request) -> Response:
        try:
            ended = await authorizations.finish(_parameters(request))
        except HairtriggerError as error:
            return failed(error)
        if not ended.ok:
            again = paragraph("Nothing was stored. Begin again where you came from.")
            return page("Not connected", paragraph(ended.sentence), again, status=400)
        return page("Connected", paragraph(ended.sentence), paragraph("You can close this page."))

    return [Route(CALLBACK, callback, methods=["GET"])]


def _parameters(request: Request) -> Mapping[str, str]:
    """Return the parameters of an answer. One that is there twice counts as missing (RFC 6749, section 3.1)."""
    given = request.query_params
    return {name: value[:_MOST_TAKEN] for name, value in given.items() if len(given.getlist(name)) == 1}
