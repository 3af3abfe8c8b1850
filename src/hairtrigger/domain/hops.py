"""Counts hops. The hops of a request are the number of this service's deliveries that led to it, one after the other.

Each delivery carries in a header the number that includes itself. So a target that causes a request to one of our
webhooks, and with it another delivery, can't start itself for ever.
"""

HEADER = "hairtrigger-hops"
MOST = 5  # a request with more of them makes no event


def hops_in(value: str | None) -> int:
    """Return the number of hops that the header's value states, or 0 if the header is missing (None) or does not hold a
    number of at most four digits.
    """
    return int(value) if value and value.isascii() and value.isdigit() and len(value) <= 4 else 0
