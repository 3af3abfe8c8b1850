"""Reads content types, and tells whether a body of a type is JSON, text or a form."""

import re
from functools import lru_cache
from typing import NamedTuple

_PARAMETER = re.compile(r';\s*(charset|boundary)\s*=\s*(?:"([^"]*)"|([^;\s]+))', re.IGNORECASE)
_TEXTUAL = frozenset({"application/xml", "application/yaml", "application/javascript", "application/x-ndjson"})


class Media(NamedTuple):
    """A content type: its name in lower case, and its parameters `charset` and `boundary`, which are empty if they are
    not given.
    """

    name: str
    charset: str = ""
    boundary: str = ""

    @property
    def is_json(self) -> bool:
        return self.name.endswith(("/json", "+json"))

    @property
    def is_text(self) -> bool:
        return not self.is_json and (
            self.name.startswith("text/") or self.name.endswith("+xml") or self.name in _TEXTUAL
        )

    @property
    def is_form(self) -> bool:
        return self.name == "application/x-www-form-urlencoded"

    @property
    def is_multipart(self) -> bool:
        return self.name == "multipart/form-data"


_LONGEST = 200  # characters of a content type that is remembered


def media_of(content_type: str) -> Media:
    """Return the content type that the value of a `Content-Type` header states. If the value is empty, so are all parts
    of the content type.
    """
    return _remembered(content_type) if len(content_type) <= _LONGEST else _read(content_type)


def _read(content_type: str) -> Media:
    name, _, rest = content_type.partition(";")
    if not rest:
        return Media(name.strip().lower())
    given = {found[1].lower(): found[2] or found[3] or "" for found in _PARAMETER.finditer(f";{rest}")}
    return Media(name.strip().lower(), given.get("charset", ""), given.get("boundary", ""))


_remembered = lru_cache(maxsize=1024)(_read)
