"""Hops: how many deliveries of this service have led to a request one after the other, each to the next.

A delivery says it in a header, so that a target that leads back to this service does not start itself for ever.
"""

HEADER = "hairtrigger-hops"
MOST = 5  # of an event: a request that says more becomes none


def hops_in(value: str | None) -> int:
    """Return the number that a header's value says, or 0 if it says none."""
    return int(value) if value and value.isascii() and value.isdigit() and len(value) <= 4 else 0
