"""Build the guest before a wheel is made or a clone is installed: a build hook of Hatchling."""

import os
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent))

from build import build


class Guest(BuildHookInterface[Any]):
    def initialize(self, _version: str, build_data: dict[str, Any]) -> None:
        guest = build(os.environ)
        build_data["artifacts"].append(str(guest.relative_to(self.root)))
