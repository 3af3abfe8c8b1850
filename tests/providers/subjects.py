"""The providers of the catalogue with their fakes, which are found by the names of their folders."""

from importlib import import_module
from importlib.util import find_spec

from hairtrigger.conformance import Subject, subject
from hairtrigger.providers import CATALOGUE


def of(provider_id: str) -> Subject:
    """Return a provider with the fake in `tests/providers/<id>/fake.py`, if there is one."""
    (provider,) = (one for one in CATALOGUE if one.id == provider_id)
    name = f"tests.providers.{provider_id}"
    has_fake = find_spec(name) is not None and find_spec(f"{name}.fake") is not None
    return subject(provider, import_module(f"{name}.fake") if has_fake else None)


SUBJECTS = tuple(of(provider.id) for provider in CATALOGUE)
