"""Places of deliveries."""

from bench.beside.case import Case

CASES: tuple[Case, ...] = ()
