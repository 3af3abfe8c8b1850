"""The page at `/`, and the reference of the APIs at `/docs`. The HTML is made from their OpenAPI documents and has no
scripts.
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hairtrigger.api.documents import Once

_METHODS = ("get", "post", "put", "patch", "delete")
_DEEPEST = 6  # levels of a schema that are shown
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code, pre { font: 14px/1.4 ui-monospace, monospace } pre { overflow: auto; padding: .5rem; border: 1px solid #8884 }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; padding: .2rem .6rem .2rem 0 }
summary { cursor: pointer } summary b { display: inline-block; min-width: 4.5rem } details { margin: .3rem 0 }
details details { margin-left: 1rem } nav a { margin-right: 1rem }
"""


@dataclass(frozen=True)
class Described:
    """An API as the reference shows it. `name` is its name in addresses, and `document_at` leads to its OpenAPI
    document.
    """

    name: str
    title: str
    about: str
    document_at: str
    app: FastAPI


def routes(apis: Sequence[Described]) -> list[BaseRoute]:
    """Return the routes of the pages. The links on them are relative, so that they work below any path."""
    return [
        Route("/", _home(apis)),
        Route("/docs", _overview(apis)),
        *(Route(f"/docs/{api.name}", _reference(api)) for api in apis),
    ]


def _home(apis: Sequence[Described]) -> Callable[[Request], Response]:
    def home(request: Request) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return _page(
                "hairtrigger",
                "<p>This is hairtrigger: a service that starts workflows and agent conversations when something "
                "happens in another app, and says why it did or did not.</p>"
                "<p><a href='docs'>The reference of its APIs</a></p>"
                "<p>Whether it is ready: <a href='readyz'>/readyz</a>. On its own machine, <code>hairtrigger --help"
                "</code> shows what its command line can do.</p>",
            )
        return JSONResponse(
            {
                "name": "hairtrigger",
                "about": "Starts workflows and agent conversations when something happens in another app.",
                "reference": "docs",
                "openapi": {api.name: api.document_at for api in apis},
            }
        )

    return home


def _overview(apis: Sequence[Described]) -> Callable[[Request], Response]:
    listed = "".join(
        f"<li><a href='docs/{api.name}'>{escape(api.title)}</a>: {escape(api.about)} "
        f"(<a href='{api.document_at}'>OpenAPI</a>)</li>"
        for api in apis
    )
    text = (
        "<p>Requests carry <code>Authorization: Bearer …</code> with an API key, or with the access token that "
        f"<code>POST /token</code> gives for an e-mail address and a password.</p><ul>{listed}</ul>"
    )
    return lambda _: _page("API reference", text)


def _reference(api: Described) -> Callable[[Request], Awaitable[Response]]:
    def made() -> Response:
        document = api.app.openapi()
        operations = "".join(_operation(document, *one) for one in _operations(document))
        head = (
            "<nav><a href='../docs'>All APIs</a> "
            f"<a href='../{api.document_at}'>OpenAPI document</a></nav><p>{escape(api.about)}</p>"
        )
        return _page(api.title, head + operations)

    page = Once(made)

    async def reference(_: Request) -> Response:
        return await page.get()

    return reference


def _page(title: str, body: str) -> Response:
    text = (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{escape(title)}</title>"
        "<meta name='viewport' content='width=device-width'>"
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1>{body}</html>"
    )
    return HTMLResponse(text, headers={"Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"})


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield method, path, methods[method]


def _operation(document: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any]) -> str:
    parts = [f"<p>{escape(operation['description'])}</p>" if operation.get("description") else ""]
    if parameters := operation.get("parameters"):
        rows = "".join(_parameter(document, one) for one in parameters)
        parts.append(f"<table><tr><th>parameter</th><th>in</th><th>meaning</th></tr>{rows}</table>")
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        shape = _shape(document, content.get("schema", {}))
        parts.append(f"<p>Body, <code>{escape(media)}</code>:</p><pre>{escape(shape)}</pre>")
    for status, given in operation.get("responses", {}).items():
        answer = _resolved(document, given)
        shapes = [_shape(document, content.get("schema", {})) for content in answer.get("content", {}).values()]
        inside = "".join(f"<pre>{escape(shape)}</pre>" for shape in dict.fromkeys(shapes))
        said = escape(answer.get("description", ""))
        parts.append(f"<details><summary><b>{escape(status)}</b> {said}</summary>{inside}</details>")
    summary = f"<b>{method.upper()}</b> <code>{escape(path)}</code> {escape(operation.get('summary', ''))}"
    name = escape(operation.get("operationId", path))
    return f"<details id='{name}'><summary>{summary}</summary>{''.join(parts)}</details>"


def _parameter(document: Mapping[str, Any], parameter: Mapping[str, Any]) -> str:
    parameter = _resolved(document, parameter)
    name = escape(parameter["name"]) + ("" if parameter.get("required") else " (optional)")
    meaning = escape(parameter.get("description", "")) or escape(_shape(document, parameter.get("schema", {})))
    return f"<tr><td><code>{name}</code></td><td>{escape(parameter['in'])}</td><td>{meaning}</td></tr>"


def _resolved(document: Mapping[str, Any], one: Mapping[str, Any]) -> Mapping[str, Any]:
    while reference := one.get("$ref"):
        found: Any = document
        for part in str(reference).removeprefix("#/").split("/"):
            found = found[part]
        one = found
    return one


def _shape(document: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    return json.dumps(_example(document, schema, 0), indent=2, ensure_ascii=False)


def _example(document: Mapping[str, Any], schema: Mapping[str, Any], level: int) -> Any:
    """Return a value of the schema's shape, in which a text names the type of each field."""
    schema = _resolved(document, schema)
    if level > _DEEPEST:
        return "…"
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        made = [_example(document, one, level + 1) for one in choices]
        plain = [one for one in made if isinstance(one, str)]
        return " | ".join(plain) if len(plain) == len(made) else next(one for one in made if not isinstance(one, str))
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(one) for one in schema["enum"])
    if parts := schema.get("allOf"):
        return _example(document, parts[0], level + 1)
    if fields := schema.get("properties"):
        required = schema.get("required", ())
        return {
            name if name in required else f"{name}?": _example(document, one, level + 1) for name, one in fields.items()
        }
    if schema.get("type") == "array":
        return [_example(document, schema.get("items", {}), level + 1)]
    if isinstance(inside := schema.get("additionalProperties"), Mapping) and inside:
        return {"…": _example(document, inside, level + 1)}
    kind = schema.get("format") or schema.get("type") or "any"
    return " | ".join(kind) if isinstance(kind, list) else kind
