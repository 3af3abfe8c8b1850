"""What PostgreSQL takes as text."""


def storable(text: str) -> str:
    """Without NUL and half surrogates, which others' messages may hold and the database refuses."""
    return text.replace("\0", "").encode(errors="replace").decode()
