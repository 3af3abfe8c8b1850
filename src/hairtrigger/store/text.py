"""What PostgreSQL takes as text."""

from typing import Any


def storable(text: str) -> str:
    """Without NUL and half surrogates, which others' messages may hold and the database refuses."""
    return text.replace("\0", "").encode(errors="replace").decode()


def storable_json(value: Any) -> Any:
    """The same for every text in it."""
    match value:
        case str():
            return storable(value)
        case list():
            return [storable_json(part) for part in value]
        case dict():
            return {storable(name): storable_json(part) for name, part in value.items()}
        case _:
            return value
