"""Plain pages for the browsers of users that connect their accounts. They run no script, and load nothing."""

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from urllib.parse import parse_qsl

from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from hairtrigger.api.bodies import BoundedRequest
from hairtrigger.api.errors import status_of
from hairtrigger.api.v1.schemas import Secret
from hairtrigger.domain.errors import HairtriggerError, Invalid, TooLarge
from hairtrigger.kit.trigger import Provider
from hairtrigger.services.setup.authorizations import CALLBACK, Authorizations
from hairtrigger.services.setup.connect_links import ConnectLinks, Offer

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:4em auto;padding:0 1em;color:#222;background:#fff}"
    "h1{font-size:1.4em}label{display:block;margin:1em 0}"
    "input,textarea{display:block;width:100%;padding:.5em;font:inherit}"
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
_LINK = "/v1/connect/{ticket}"
_LARGEST_FORM = 128 * 1024  # bytes
_MOST_FIELDS = 50
_LONG, _HIDDEN = {"private_key"}, {"client_secret"}  # fields of several lines, and others that are not shown
_FIELDS = TypeAdapter(dict[str, Secret])


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


def oauth_pages(authorizations: Authorizations, links: ConnectLinks) -> list[Route]:
    """Return the routes that browsers of users visit: for answers of providers, and for connect links."""

    async def callback(request: Request) -> Response:
        try:
            ended = await authorizations.finish(_parameters(request))
        except HairtriggerError as error:
            return failed(error)
        if not ended.ok:
            again = paragraph("Nothing was stored. Begin again where you came from.")
            return page("Not connected", paragraph(ended.sentence), again, status=400)
        return _connected(ended.sentence)

    async def link(request: Request) -> Response:
        ticket = request.path_params["ticket"]
        try:
            offer = await links.offer(ticket)
        except HairtriggerError as error:
            return failed(error)
        if request.method != "POST":
            return _offered(offer)
        try:
            entered = await _entered(request)
            if offer.by_oauth:
                return _leading_to(await links.begin(ticket, entered), offer.provider.name)
            return _connected(await links.connect(ticket, entered))
        except Invalid as refused:
            return _offered(offer, refused.issues[0].message if refused.issues else refused.message)
        except HairtriggerError as error:
            return failed(error)

    return [Route(CALLBACK, callback, methods=["GET"]), Route(_LINK, link, methods=["GET", "POST"])]


def _connected(said: str) -> Response:
    return page("Connected", paragraph(said), paragraph("You can close this page."))


def _offered(offer: Offer, fault: str = "") -> Response:
    """Return the page of a link, with a form for what its user enters. It posts to its own address."""
    provider = offer.provider
    asks = f"{offer.organization} asks you to connect your account at {provider.name}."
    fields = "".join(_field(provider, name) for name in offer.fields)
    guide = paragraph(provider.guide) if offer.fields and provider.guide else ""
    button = f"<button>Continue to {escape(provider.name)}</button>" if offer.by_oauth else "<button>Connect</button>"
    form = f'<form method="post" autocomplete="off">{fields}{button}</form>'
    return page(
        f"Connect {provider.name}",
        *map(paragraph, filter(None, (fault, asks))),
        guide,
        form,
        status=422 if fault else 200,
    )


def _field(provider: Provider, name: str) -> str:
    label = escape(provider.labels.get(name) or name.replace("_", " ").capitalize())
    if name in _LONG:
        return f'<label>{label}<textarea name="{escape(name)}" rows="6" required></textarea></label>'
    kind = "password" if name in provider.auth.secrets or name in _HIDDEN else "text"
    return f'<label>{label}<input name="{escape(name)}" type="{kind}" required maxlength="8192"></label>'


def _leading_to(url: str, name: str) -> Response:
    """Return a page that leads to a provider. A redirect after a form would need its addresses in `form-action`."""
    address = escape(url)
    refresh = f'<meta http-equiv="refresh" content="0;url={address}">'
    return page(
        f"To {name}", refresh, f'<p><a class="go" rel="noreferrer" href="{address}">Continue to {escape(name)}</a></p>'
    )


async def _entered(request: Request) -> Mapping[str, str]:
    """Return the fields of a form. Raise `Invalid` if one is not what a secret may be."""
    try:
        body = await BoundedRequest(request, _LARGEST_FORM).body()
        given = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"))
        return _FIELDS.validate_python({name: value.replace("\r\n", "\n") for name, value in given.items()})
    except HTTPException as error:
        raise TooLarge(error.detail) from None
    except ValueError:
        raise Invalid("A field is empty, too long, or holds characters that it may not.") from None


def _parameters(request: Request) -> Mapping[str, str]:
    """Return the parameters of an answer. One that is there twice counts as missing (RFC 6749, section 3.1)."""
    given = request.query_params
    return {name: value[:_MOST_TAKEN] for name, value in given.items() if len(given.getlist(name)) == 1}
