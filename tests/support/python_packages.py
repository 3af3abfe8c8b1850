"""Python programs of other projects, each installed in an environment of its own."""

import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path


def installed(*packages: str) -> Path:
    """Return a Python that has these packages, each given as name==version.

    The packages are installed once for each user. An installation that was cut off is made anew.
    """
    name = re.sub(r"[^a-z0-9.]+", "-", " ".join(packages)).strip("-")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    place = Path(tempfile.gettempdir(), f"hairtrigger-tests-{os.getuid()}", f"python{version}-{name}")
    python, complete = place / "bin" / "python", place / "complete"
    if not complete.exists():
        place.parent.mkdir(mode=0o700, exist_ok=True)
        venv.create(place, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True, capture_output=True)
        complete.touch()
    return python
