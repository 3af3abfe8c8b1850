"""Decompresses, decodes and parses the bodies of requests, at a cost that depends only on their length.

A sender can't choose slow code, because only the compressions and the character sets on two lists are read.
"""

import base64
import codecs
import json
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

from pydantic_core import to_json

from hairtrigger.domain.errors import Malformed
from hairtrigger.domain.json_reader import TooManyParts, read_json
from hairtrigger.domain.media import Media, media_of

_JSON = "application/json"
_MOST_FIELDS = 10_000  # of a form
_MOST_MEMBERS = 100  # of a gzip stream: starting one costs as much as a hundred bytes
_MOST_CODINGS = 3
_BOMS = (codecs.BOM_UTF8, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Some of Python's other codecs take quadratic time, or make more of a text than its characters.
_CHARSETS = frozenset(
    {"ascii", "utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "koi8-r", "koi8-u"}
    | {f"iso8859-{number}" for number in range(1, 17)}
    | {f"cp125{number}" for number in range(9)}
    | {"shift_jis", "cp932", "euc_jp", "euc_kr", "cp949", "gb2312", "gbk", "gb18030", "big5", "big5hkscs", "tis-620"}
)
_DISPOSITION = re.compile(r'\b(name|filename)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Content:
    """The content of a body. JSON and text are in UTF-8, a form is a JSON object, and any other body is as it came."""

    data: bytes
    content_type: str

    @cached_property
    def value(self) -> Any:
        """Return the content as a JSON value, whatever the content type says, or None if the content is not JSON.

        Raises `Malformed` if the JSON has too many parts.
        """
        try:
            return read_json(self.data)
        except TooManyParts as error:
            raise Malformed(f"The body is not read: {error}.") from error
        except ValueError:
            return None


def content_of(body: bytes, content_type: str) -> Content:
    """Return the content of a body that is not compressed, read as its content type says. Without a content type, the
    content is the body as it came.

    Raises `Malformed` for a form that can't be read.
    """
    media = media_of(content_type)
    if media.is_json:
        return _json(body, content_type, media)
    if media.is_form:
        # `curl -d` sends this content type with whatever it is given, and JSON is no form.
        return Content(body, _JSON) if _is_json(body) else _object(form_fields(body))
    if media.is_multipart:
        return _object(_multipart(body, media.boundary))
    return _text(body, content_type, media) if media.is_text else Content(body, content_type)


def decompressed(body: bytes, encoding: str, most: int) -> bytes:
    """Return the body without the compressions that `encoding`, the value of Content-Encoding, names.

    Raises `Malformed` for a compression other than gzip and deflate, for more than three of them, for a body that is
    not compressed as `encoding` says, and for a result of more than `most` bytes.
    """
    names = [name for name in (part.strip().lower() for part in encoding.split(",")) if name not in {"", "identity"}]
    if len(names) > _MOST_CODINGS or not {"gzip", "x-gzip", "deflate"}.issuperset(names):
        raise Malformed(f"The body is compressed in a way that is not read here: {encoding[:100]}.")
    for name in reversed(names):
        body = _inflated(body, most, is_gzip=name != "deflate")
    return body


def form_fields(body: bytes) -> list[tuple[str, str]]:
    """Return the decoded names and values of a form's fields, in the order of the form. Raises `Malformed` if there are
    more than 10,000.
    """
    try:
        return parse_qsl(body.decode(errors="replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise Malformed(f"The form has more than {_MOST_FIELDS} fields.") from None


def _inflated(body: bytes, most: int, *, is_gzip: bool) -> bytes:
    parts: list[bytes] = []
    left, members = most, 0
    while body:
        members += 1
        wrapped = is_gzip or body[0] & 0x0F == zlib.DEFLATED  # some senders leave out the header of deflate
        member = zlib.decompressobj(wbits=(16 * is_gzip + zlib.MAX_WBITS) if wrapped else -zlib.MAX_WBITS)
        try:
            parts.append(member.decompress(body, left + 1))
        except zlib.error:
            raise Malformed("The body is not compressed as its Content-Encoding says.") from None
        left -= len(parts[-1])
        if left < 0:
            raise Malformed(f"The body is larger than {most} bytes when it is decompressed.")
        if not member.eof or members > _MOST_MEMBERS:
            raise Malformed("The compressed body is cut off, or has too many parts.")
        body = member.unused_data
    return b"".join(parts)


def _is_json(body: bytes) -> bool:
    if body.lstrip()[:1] not in {b"{", b"["}:
        return False
    try:
        read_json(body)
    except ValueError:
        return False
    return True


def _json(body: bytes, content_type: str, media: Media) -> Content:
    """Return a JSON body as content in UTF-8 without a byte order mark, because readers of JSON refuse anything else.

    A body that is not JSON in any known encoding is returned as it came.
    """
    encoding: str
    if body.startswith(_BOMS) or b"\0" in body[:4]:
        encoding = json.detect_encoding(body)
    elif media.charset and not _is_utf8(body):
        encoding = _codec(media.charset)
    else:
        return Content(body, content_type)
    try:
        data = body.decode(encoding).encode()
        read_json(data)
    except (ValueError, LookupError):
        return Content(body, content_type)  # it is no JSON in any encoding
    return Content(data, _JSON)


def _text(body: bytes, content_type: str, media: Media) -> Content:
    encoding: str
    if body.startswith(_BOMS):
        encoding = json.detect_encoding(body)
    elif _is_utf8(body) and media.charset.lower() not in {"utf-16", "utf-32"}:
        return Content(body, content_type)
    else:
        encoding = _codec(media.charset or "iso8859-1")
    try:
        return Content(body.decode(encoding).encode(), f"{media.name}; charset=utf-8")
    except (UnicodeError, LookupError):
        return Content(body, content_type)


def _codec(charset: str) -> str:
    """Return the name of Python's codec for a character set. It is UTF-8 for a character set that is not in
    `_CHARSETS`.
    """
    try:
        name = codecs.lookup(charset).name
    except (LookupError, ValueError):
        name = ""
    return name if name in _CHARSETS else "utf-8"


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _multipart(body: bytes, boundary: str) -> list[tuple[str, object]]:
    """Return the names and values of a form in parts (RFC 7578), in the order of the form. The value of a file is an
    object with its data in Base64. Raises `Malformed` if the form can't be read.
    """
    if not boundary:
        raise Malformed("The form in parts names no boundary.")
    parts = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1", "replace"), _MOST_FIELDS)
    if len(parts) < 2 or not parts[-1].startswith(b"--"):
        raise Malformed("The form in parts is cut off, or has too many parts.")
    return [field for part in parts[1:-1] if (field := _field(part))]


def _field(part: bytes) -> tuple[str, object] | None:
    head, blank, value = part.partition(b"\r\n\r\n")
    lines = head.decode(errors="replace").split("\r\n")
    headers = {name.strip().lower(): rest.strip() for name, _, rest in (line.partition(":") for line in lines)}
    named = dict(_DISPOSITION.findall(headers.get("content-disposition", "")))
    if not blank or "name" not in named:
        return None
    content_type = headers.get("content-type", "")
    if "filename" in named:
        file = {"filename": named["filename"], "content_type": content_type}
        return named["name"], {**file, "data_base64": base64.b64encode(value).decode()}
    text = _text(value, content_type, media_of(content_type or "text/plain"))
    return named["name"], text.data.decode(errors="replace")


def _object(fields: Iterable[tuple[str, object]]) -> Content:
    """Return the fields as content that is a JSON object. A name that several fields have gets the list of their
    values.
    """
    found: dict[str, list[object]] = {}
    for name, value in fields:
        found.setdefault(name, []).append(value)
    plain = {name: values[0] if len(values) == 1 else values for name, values in found.items()}
    return Content(to_json(plain), _JSON)
