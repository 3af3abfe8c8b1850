from tests.services.conftest import _quiet, vault

__all__ = ["_quiet", "vault"]
