from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hairtrigger.platform.vault import Vault


@pytest.fixture(scope="session")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return Vault.open(Path(tmp_path_factory.mktemp("vault")) / "keys.json")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Log nothing: tests that break things on purpose need no tracebacks, which take longer than the tests."""
    with capture_logs():
        yield
