"""Tables of figures, as text."""

from collections.abc import Sequence


def table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table whose first column is aligned left and the others right."""
    lines = [list(titles), *([_text(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(_aligned(line, widths)).rstrip() for line in lines)


def _aligned(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *others = [text.rjust(width) for text, width in zip(line, widths, strict=True)]
    return [first.strip().ljust(widths[0]), *others]


def _text(cell: object) -> str:
    match cell:
        case None:
            return "-"
        case float() if abs(cell) < 100:
            return f"{cell:.2f}"
        case float():
            return f"{cell:,.0f}"
        case _:
            return str(cell)
