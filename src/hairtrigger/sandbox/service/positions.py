"""Finds the position of an error in a user's code.

The engine reports the position in the function that it makes of the code, with the column in bytes of UTF-8.
"""

import re
from dataclasses import dataclass

_LINES_BEFORE_CODE = 2  # in the function that the engine makes of the code
_LINE_END = re.compile("\r\n|[\n\r\u2028\u2029]")
_THROWN = re.compile(r"\(<input>:(\d{1,6}):(\d{1,6})\)")
_UNPARSABLE = re.compile(r"at <input>:(\d{1,6}):(\d{1,6})")


@dataclass(frozen=True)
class Position:
    """A line and a column of a user's code, or None for what is not known. Both count from 1, and the column counts
    UTF-16 units.
    """

    line: int | None
    column: int | None


UNKNOWN = Position(None, None)


def thrown_at(stack: str, code: str) -> Position:
    """Return the first position in the stack of an error that lies in the user's code, or `UNKNOWN`."""
    return _position(_THROWN, stack, code)


def unparsable_at(stack: str, code: str) -> Position:
    return _position(_UNPARSABLE, stack, code)


def _position(pattern: re.Pattern[str], stack: str, code: str) -> Position:
    """Return the first position that the pattern finds in the stack and that lies in the user's code, or `UNKNOWN`.

    A position behind the code becomes the end of the code's last line.
    """
    places = ((int(match[1]) - _LINES_BEFORE_CODE, int(match[2])) for match in pattern.finditer(stack))
    line, column = next((place for place in places if place[0] > 0), (0, 0))
    if line == 0:
        return UNKNOWN
    lines = _LINE_END.split(code)
    if line > len(lines):
        return Position(len(lines), _units(lines[-1]) + 1)
    text = lines[line - 1]
    before = text.encode("utf-8", "replace")[: column - 1].decode("utf-8", "ignore")
    return Position(line, _units(before) + 1)


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
