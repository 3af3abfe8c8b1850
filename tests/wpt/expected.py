"""The tests that are allowed to fail, each with its reason: `expected.json` has their names, page by page."""

import json
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path

FILE = Path(__file__).with_name("expected.json")

PAGES_ONLY = "for pages in a browser: Node and Deno differ there too"
ABSENT = "not part of the environment"
NO_SHARING = "no memory is shared between threads, and there is no WebAssembly"
SERVER = "our stand-in for the tests' server cannot do it"
STANDIN = "our page.js wraps it, so that addresses may be relative"
OLDER = "what the standard says has changed since"
LATER = "open"

REASONS = (  # a pattern for pages, a pattern for tests, and the reason
    ("fetch/api/request/request-headers.any.js", "filtering", PAGES_ONLY),
    ("encoding/encodeInto.any.js", "detached", ABSENT),
    ("encoding/streams/encode-bad-chunks.any.js", "", LATER),
    (
        "fetch/api/*",
        "forbidden|Forbidden|invalid request header|no-cors|is a forbidden|priviliged|privileged",
        PAGES_ONLY,
    ),
    ("fetch/api/*", "manual", PAGES_ONLY),  # the answer to a redirect that is not followed is readable
    ("fetch/api/basic/request-headers.any.js", "", PAGES_ONLY),  # the host adds such headers, and no code sees them
    ("fetch/api/basic/request-headers-case.any.js", "", SERVER),
    ("fetch/api/basic/accept-header.any.js", "", SERVER),
    ("fetch/api/basic/conditional-get.any.js", "", SERVER),
    ("fetch/api/basic/error-after-response.any.js", "", SERVER),
    ("fetch/api/basic/header-value-*", "", SERVER),
    ("fetch/api/basic/http-response-code.any.js", "", SERVER),
    ("fetch/api/basic/request-upload.any.js", "421", SERVER),
    ("fetch/api/basic/stream-response.any.js", "", SERVER),
    ("fetch/api/redirect/redirect-location-escape*", "", SERVER),
    ("fetch/api/redirect/redirect-method.any.js", "", SERVER),
    ("fetch/api/abort/general.any.js", "", SERVER),
    ("fetch/api/basic/scheme-blob*", "", ABSENT),
    ("fetch/api/basic/integrity*", "", LATER),
    ("fetch/api/request/request-disturbed.any.js", "", LATER),
    ("fetch/api/re*/re*-consume-empty.any.js", "FormData", OLDER),  # an empty form has a last boundary
    ("fetch/api/response/response-blob-realm*", "", PAGES_ONLY),
    ("fetch/api/response/response-stream-with-broken-then*", "", LATER),
    ("fetch/api/*cors*", "", PAGES_ONLY),
    ("FileAPI/file/File-constructor.any.js", "page", PAGES_ONLY),
    ("FileAPI/blob/*", "document|iframe|<|frozen array|page", PAGES_ONLY),
    ("WebCryptoAPI/historical.any.js", "", PAGES_ONLY),
    ("WebCryptoAPI/idlharness*", "", SERVER),
    ("WebCryptoAPI/sign_verify/hmac*", "wrong key|wrong algorithm", ABSENT),  # only keys for HMAC can be made
    ("*", "[Ss]hared|non-transferable", NO_SHARING),
    ("encoding/streams/decode-utf8.any.js", "page", NO_SHARING),
    ("compression/compression-output-length*", "", SERVER),  # a file of the server is missing
    ("console/*", "", LATER),
    ("hr-time/*", "", LATER),
    ("dom/events/EventTarget-removeEventListener.any.js", "", PAGES_ONLY),
    ("encoding/*-decoder*", "", ABSENT),  # only utf-8, utf-16 and encodings of one byte are there
    ("encoding/streams/decode-non-utf8.any.js", "", ABSENT),
    ("encoding/text??coder-*", "supported|=>|Encoding argument", ABSENT),
    ("encoding/replacement-encodings*", "", ABSENT),
    ("encoding/unsupported-encodings*", "", ABSENT),
    ("html/webappapis/microtask-queuing/*exceptions*", "", PAGES_ONLY),
    ("html/webappapis/system-state-and-capabilities/*", "", PAGES_ONLY),
    ("streams/readable-byte-streams/general.any.js", "releaseLock", OLDER),
    ("streams/readable-streams/templated.any.js", "releas", OLDER),
    ("streams/transform-streams/*", "", OLDER),
    ("streams/writable-streams/aborting.any.js", "signal", OLDER),
    ("url/url-setters-stripping.any.js", r"U\+001F", OLDER),
    ("url/urlencoded-parser.any.js", "", LATER),
    ("own/interfaces.any.js?*", "textStream", LATER),
    ("own/interfaces.any.js?*", "XMLHttp|FileReader|FileList|ProgressEvent|Partial interface URL", ABSENT),
    ("own/interfaces.any.js?*", "WorkerGlobalScope", ABSENT),
    ("own/interfaces.any.js?fetch", "", STANDIN),
    ("own/interfaces.any.js?webcrypto", "setup", ABSENT),
    ("own/interfaces.any.js?*", "", LATER),
    ("own/urls.any.js", "", OLDER),
)


def expected() -> Mapping[str, list[str]]:
    pages: Mapping[str, list[str]] = json.loads(FILE.read_text("utf-8"))
    return pages


def write(failed: Mapping[str, Iterable[str]]) -> None:
    """Write the failures of the pages that ran; the other pages keep theirs."""
    pages = {**(expected() if FILE.exists() else {}), **{page: sorted(names) for page, names in failed.items()}}
    kept = {page: pages[page] for page in sorted(pages) if pages[page]}
    FILE.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")


def reason(page: str, test: str) -> str | None:
    return next((why for of, what, why in REASONS if fnmatch(page, of) and re.search(what, test)), None)
