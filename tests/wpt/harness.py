"""Run pages of the Web Platform Tests as polls: each in a fresh guest, in the environment of polling code."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatch
from pathlib import Path

from hairtrigger.sandbox.protocol.poll import MEBIBYTE, Limits, PollError, Program
from hairtrigger.sandbox.service.sandbox import Sandbox
from tests.wpt.server import ORIGIN, Server, substituted

FOLDERS = (
    "own",
    "url", "fetch/api/headers", "fetch/api/request", "fetch/api/response", "fetch/api/body", "fetch/api/abort",
    "fetch/api/basic", "fetch/api/redirect", "fetch/data-urls", "FileAPI", "xhr/formdata", "dom/events", "dom/abort",
    "streams", "encoding", "compression", "html/webappapis", "WebCryptoAPI", "hr-time", "console",
)  # fmt: skip

SKIPPED = {  # pages that cannot test anything that polling code has, and why
    "*.h2.any.js*": "needs a server that speaks HTTP/2",
    "*idlharness*shadowrealm*": "there are no shadow realms",
    "FileAPI/fileReader*": "FileReader is for pages",
    "FileAPI/reading-data-section/*": "FileReader is for pages",
    "FileAPI/url/*": "object URLs are for pages",
    "fetch/api/*keepalive*": "there is no page to outlive",
    "fetch/api/basic/*referrer*": "there is no page to refer from",
    "fetch/api/redirect/*referrer*": "there is no page to refer from",
    "fetch/api/request/request-cache*": "there is no cache",
    "fetch/api/abort/cache*": "there is no cache",
    "fetch/api/basic/mode-*": "there are no origins to cross",
    "fetch/api/basic/*private-network*": "there are no origins to cross",
    "fetch/api/redirect/redirect-origin*": "there are no origins to cross",
    "fetch/api/redirect/redirect-back-to-original-origin*": "there are no origins to cross",
    "WebCryptoAPI/derive_bits_keys/*": "only digests, HMAC, PKCS#1 v1.5 and ECDSA are promised",
    "WebCryptoAPI/encap_decap/*": "only digests, HMAC, PKCS#1 v1.5 and ECDSA are promised",
    "WebCryptoAPI/encrypt_decrypt/*": "only digests, HMAC, PKCS#1 v1.5 and ECDSA are promised",
    "WebCryptoAPI/generateKey/*": "only keys for HMAC can be made",
    "WebCryptoAPI/import_export/*": "its pages mix in algorithms that are not promised",
    "WebCryptoAPI/sign_verify/eddsa*": "only digests, HMAC, PKCS#1 v1.5 and ECDSA are promised",
    "WebCryptoAPI/sign_verify/rsa_pss*": "only digests, HMAC, PKCS#1 v1.5 and ECDSA are promised",
    "WebCryptoAPI/wrapKey_unwrapKey/*": "only digests, HMAC, PKCS#1 v1.5 and ECDSA are promised",
    "encoding/legacy-mb-*": "needs a document",
    "html/webappapis/*workers*": "there are no workers",
    "html/webappapis/scripting/*": "needs a document",
    "html/webappapis/dynamic-markup-insertion/*": "needs a document",
}

LIMITS = Limits(
    cpu=timedelta(seconds=60), wall=timedelta(seconds=90), memory_bytes=512 * MEBIBYTE, fetches=2000,
    response_bytes=16 * MEBIBYTE, total_bytes=48 * MEBIBYTE, request_bytes=16 * MEBIBYTE, result_bytes=32 * MEBIBYTE,
    result_count=200_000,
)  # fmt: skip
PAGE = Path(__file__).with_name("page.js").read_text("utf-8")
ALIASES = {"resources/WebIDLParser.js": ("resources/webidl2/lib/webidl2.js", "resources/webidl2.js")}
PASSED, FAILED, TIMED_OUT, NOT_RUN, OPTIONAL = range(5)
TOGETHER = 6
_META = re.compile(r"^// META: *(\w+) *= *(.*?) *$", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """A test file with one of its variants."""

    path: str
    variant: str = ""

    def __str__(self) -> str:
        return self.path + self.variant


@dataclass
class Results:
    passed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)  # with their messages


class Checkout:
    """Folders with files of the Web Platform Tests. A file comes from the first folder that has it."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self.folders = list(folders)

    def file(self, path: str) -> Path | None:
        places = ALIASES.get(path, (path,))
        return next((folder / one for folder in self.folders for one in places if (folder / one).is_file()), None)

    def pages(self, *wanted: str) -> list[Page]:
        found = {
            file.relative_to(folder).as_posix(): file
            for folder in self.folders
            for place in wanted
            for file in (sorted((folder / place).rglob("*.any.js")) if (folder / place).is_dir() else [folder / place])
            if file.is_file()
        }
        return [
            Page(path, variant)
            for path, file in sorted(found.items())
            if not any(fnmatch(path, pattern) for pattern in SKIPPED)
            for variant in _variants(file.read_text("utf-8"))
        ]

    def scripts(self, page: Page) -> list[str]:
        """Return the official harness, the scripts that the page asks for, and the page."""
        text = self.text(page.path)
        asked = [value for key, value in _META.findall(text) if key == "script"]
        names = [path.lstrip("/") if path.startswith("/") else _beside(page.path, path) for path in asked]
        needed = ["resources/testharness.js", *(name.split("?")[0] for name in names)]
        return [*map(self.text, needed), text]

    def text(self, path: str) -> str:
        file = self.file(path)
        if file is None:
            raise FileNotFoundError(path)
        return substituted(file) if ".sub." in path else file.read_text("utf-8")


async def results(checkout: Checkout, pages: Iterable[Page]) -> AsyncIterator[tuple[Page, Results]]:
    turns = asyncio.Semaphore(TOGETHER)
    async with Sandbox.start(workers=2, limits=LIMITS) as sandbox:

        async def run(page: Page) -> tuple[Page, Results]:
            async with turns:
                return page, await _run(sandbox, checkout, page)

        for done in asyncio.as_completed([run(page) for page in pages]):
            yield await done


async def _run(sandbox: Sandbox, checkout: Checkout, page: Page) -> Results:
    found = Results()
    try:
        scripts = checkout.scripts(page)
    except FileNotFoundError as missing:
        found.failed["(the page)"] = f"it needs {missing}"
        return found
    inputs = {"scripts": scripts, "location": f"{ORIGIN}/{page}".replace(".js", ".html", 1), "patience": 40_000}
    program = Program(PAGE, inputs, {}, datetime(2026, 1, 1, tzinfo=UTC))
    try:
        outcome = await sandbox.run(program, Server(checkout.file).fetch)
    except PollError as error:
        found.failed["(the page)"] = f"{error.kind}: {error.name}: {error.message}"
        return found
    for name, status, message in outcome.value:
        if status == PASSED:
            found.passed.append(name)
        elif status != OPTIONAL:
            found.failed[name] = message
    return found


def _variants(text: str) -> list[str]:
    scopes = [value for key, value in _META.findall(text) if key == "global"]
    if scopes and not {"window", "worker", "dedicatedworker"} & set(scopes[0].replace(" ", "").split(",")):
        return []
    return [value for key, value in _META.findall(text) if key == "variant"] or [""]


def _beside(path: str, relative: str) -> str:
    parts = path.split("/")[:-1]
    for part in relative.split("/"):
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)
