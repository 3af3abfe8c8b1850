"""A stand-in for the server of the Web Platform Tests: files of a checkout, and the few handlers our tests ask for."""

import asyncio
import json
import re
import string
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, quote, urlencode, urljoin, urlsplit

from hairtrigger.sandbox.protocol.poll import FetchFailed, HttpRequest, HttpResponse

HOST = "web-platform.test"
ORIGIN = f"https://{HOST}:8443"
REDIRECTS = (301, 302, 303, 307, 308)
MOST_REDIRECTS = 20
TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".txt": "text/plain",
}
PORTS = {"http": ["8000", "8001"], "https": ["8443", "8444"], "ws": ["8666"], "wss": ["8667"]}

Query = dict[str, str]
Answer = tuple[int, list[tuple[str, str]], bytes]
PLAIN = ("content-type", "text/plain")


class Server:
    def __init__(self, files: Callable[[str], Path | None]) -> None:
        self._files = files
        self._stash: dict[str, str] = {}

    async def fetch(self, request: HttpRequest) -> HttpResponse:
        """Do what the host's fetch does, redirects included."""
        url, method, body = request.url, request.method, request.body
        headers = {name.lower(): value for name, value in request.headers}
        for count in range(MOST_REDIRECTS + 1):
            parts = urlsplit(url)
            if parts.hostname is None or not parts.hostname.endswith(HOST):
                raise FetchFailed(f"There is no {parts.hostname} in these tests.")
            status, answered, content = await self._answer(parts.path, _query(parts.query), method, headers, body)
            location = {name.lower(): value for name, value in answered}.get("location")
            if status not in REDIRECTS or location is None or request.redirect == "manual":
                phrase = dict(answered).get("x-phrase", "OK" if status == 200 else "")
                kept = tuple(pair for pair in answered if pair[0] != "x-phrase")
                return HttpResponse(status, phrase, url, count > 0, kept, b"" if method == "HEAD" else content)
            if request.redirect == "error":
                break
            if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
                method, body = "GET", None
                headers = {name: value for name, value in headers.items() if not name.startswith("content-")}
            url = urljoin(url, quote(location, safe=string.punctuation))
        raise FetchFailed("Too many redirects.")

    async def _answer(
        self, path: str, query: Query, method: str, headers: dict[str, str], body: bytes | None
    ) -> Answer:
        match path.rsplit("/", 1)[-1]:
            case "inspect-headers.py":
                asked = query.get("headers", "").split("|")
                found = [(f"x-request-{name}", headers[name.lower()]) for name in asked if name.lower() in headers]
                return 200, [*found, PLAIN], b""
            case "method.py" | "echo-content.py":
                sent = ("content-type", "content-length", "content-encoding", "content-language", "content-location")
                if body is not None:
                    headers = {"content-length": str(len(body)), **headers}
                echoed = [(f"x-request-{name}", headers.get(name, "NO")) for name in sent]
                return 200, [("x-request-method", method), *echoed, PLAIN], body or b""
            case "status.py":
                phrase = ("x-phrase", query.get("text", "OMG"))
                answered = [("content-type", query.get("type", "")), ("x-request-method", method), phrase]
                return int(query.get("code", "200")), answered, query.get("content", "").encode()
            case "redirect.py":
                return self._redirected(query)
            case "clean-stash.py":
                return 200, [PLAIN], b"0" if self._stash.pop(query.get("token", ""), None) is None else b"1"
            case "echo-headers.py":
                lines = [f"{name}: {value}" for name, value in headers.items()]
                return 200, [PLAIN], "\r\n".join(lines).encode("latin-1")
            case "redirect-empty-location.py":
                return 302, [("location", "")], b""
            case "trickle.py":
                kind = [] if "notype" in query else [PLAIN]
                return 200, kind, b"TEST_TRICKLE\n" * int(query.get("count", "50"))
            case "infinite-slow-response.py":
                await asyncio.sleep(3600)  # the test aborts it before
                return 200, [], b""
            case "stash-put.py":
                self._stash[query.get("key", "")] = query.get("value", "")
                return 200, [PLAIN], b"done"
            case "stash-take.py":
                return 200, [PLAIN], json.dumps(self._stash.pop(query.get("key", ""), None)).encode()
            case name if not name.endswith(".py") and (file := self._files(path.lstrip("/"))):
                return 200, _headers(file), substituted(file).encode() if ".sub." in name else file.read_bytes()
        return 404, [PLAIN], b"There is no such file."

    def _redirected(self, query: Query) -> Answer:
        token = query.get("token", "")
        count = int(self._stash.pop(token, "0")) + 1
        if token:
            self._stash[token] = str(count)
        if "max_count" in query and count > int(query["max_count"]):
            return 200, [PLAIN], str(count - 1).encode()
        location = query.get("location")
        if location is not None and "simple" not in query and urlsplit(location).scheme in ("", "http", "https"):
            location += f"{'&' if '?' in location else '?'}{urlencode(query)}&count={count}"
        return int(query.get("redirect_status", "302")), [] if location is None else [("location", location)], b""


def substituted(file: Path) -> str:
    """Return a `.sub.` file with the names and ports of the server filled in."""
    text = file.read_text("utf-8")
    text = re.sub(r"\{\{ports\[(\w+)\]\[(\d)\]\}\}", lambda match: PORTS[match[1]][int(match[2])], text)
    text = re.sub(r"\{\{(?:domains|hosts\[\w*\])\[(\w*)\]\}\}", lambda match: f"{match[1]}.{HOST}".lstrip("."), text)
    return text.replace("{{host}}", HOST)


def _headers(file: Path) -> list[tuple[str, str]]:
    headers = [("content-type", TYPES.get(file.suffix, "application/octet-stream"))]
    own = file.with_name(f"{file.name}.headers")
    if own.exists():
        lines = (line.split(":", 1) for line in own.read_text("utf-8").splitlines() if ":" in line)
        headers = [(name.lower(), value.strip()) for name, value in lines] or headers
    return headers


def _query(text: str) -> Query:
    return {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}
