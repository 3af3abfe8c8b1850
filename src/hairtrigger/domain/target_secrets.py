"""Takes the secrets out of a target's configuration before it is stored, and puts them back. The secrets are stored
sealed, apart from the configuration, which holds a mask in the place of each.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import SecretStr

from hairtrigger.domain.errors import Invalid, Issue
from hairtrigger.domain.target import MASK, TargetConfig, read_config

_PREFIX = "target/"  # of the names of these secrets among the other secrets of a project

_Path = tuple[str, ...]


def parted(config: TargetConfig, held: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the configuration as it is stored, with masks in place of its secrets, and then all secrets of the project
    by name. These are the project's other secrets and those of the new configuration.

    `held` are the project's secrets until now. A mask that a user sends back stands for the held secret of the same
    place. Raises `Invalid` for a mask at whose place no secret is held.
    """
    secrets: dict[str, str] = {name: value for name, value in held.items() if not name.startswith(_PREFIX)}

    def masked(value: object, path: _Path) -> object:
        if not isinstance(value, SecretStr):
            return value
        name, given = _name(path), value.get_secret_value()
        if given == MASK and name not in held:
            raise Invalid(None, Issue(("target", *path), "This is the mask of a secret. Give the secret itself."))
        secrets[name] = held[name] if given == MASK else given
        return MASK

    stored: dict[str, Any] = _changed(config.model_dump(), masked)
    return stored, secrets


def opened(stored: Mapping[str, Any], held: Mapping[str, str]) -> TargetConfig:
    """Return a stored configuration with its secrets in place of the masks. `held` are the project's secrets by name. A
    mask for which no secret is held stays.
    """
    return read_config(_changed(stored, lambda value, path: held.get(_name(path), value) if value == MASK else value))


def _name(path: _Path) -> str:
    return _PREFIX + "/".join(path)


def _changed(value: Any, change: Callable[[object, _Path], object], path: _Path = ()) -> Any:
    if isinstance(value, Mapping):
        return {name: _changed(inner, change, (*path, name)) for name, inner in value.items()}
    return change(value, path)
