"""Make texts and JSON values that PostgreSQL can store."""

import json
import re
from typing import Any

_NUL = re.compile(r"(\\\\)|\\u0000")


def storable(text: str) -> str:
    """Return the text without NULs, and with `?` for each half surrogate, because the database refuses both."""
    return text.replace("\0", "").encode(errors="replace").decode()


def storable_json(value: Any) -> str:
    """Return the value as JSON text that `jsonb` accepts.

    Numbers that are not finite become null, NULs are removed, and half surrogates become `?`.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        finite = json.loads(json.dumps(value, ensure_ascii=False), parse_constant=lambda _: None)
        text = json.dumps(finite, ensure_ascii=False)
    text = text.encode(errors="replace").decode()
    return _NUL.sub(r"\1", text) if r"\u0000" in text else text
