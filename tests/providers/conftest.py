from pathlib import Path

import pytest

from hairtrigger.platform.vault import Vault


@pytest.fixture(scope="session")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return Vault.open(Path(tmp_path_factory.mktemp("vault")) / "keys.json")
