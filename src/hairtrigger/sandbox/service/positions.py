"""Where in a user's code an error is: the engine says it of the function it makes of the code, and in UTF-8."""

import re
from dataclasses import dataclass

_LINES_BEFORE_CODE = 2  # of the function that the engine makes of it
_LINE_END = re.compile("\r\n|[\n\r\u2028\u2029]")
_THROWN = re.compile(r"\(<input>:(\d{1,6}):(\d{1,6})\)")
_UNPARSABLE = re.compile(r"at <input>:(\d{1,6}):(\d{1,6})")


@dataclass(frozen=True)
class Position:
    """Counted from 1, the column in UTF-16 units."""

    line: int | None
    column: int | None


UNKNOWN = Position(None, None)


def thrown_at(stack: str, code: str) -> Position:
    """The first place of the user's in a stack."""
    return _position(_THROWN, stack, code)


def unparsable_at(stack: str, code: str) -> Position:
    return _position(_UNPARSABLE, stack, code)


def _position(pattern: re.Pattern[str], stack: str, code: str) -> Position:
    """An error at the end of the code is on its last line."""
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
