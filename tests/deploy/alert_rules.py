"""Check the alert rules and the text of /metrics with Prometheus' own `promtool`.

Run `./dev poe alert-rules` when `deploy/prometheus/` or the metrics change. Without a promtool on the machine, the
package of Debian is fetched and unpacked into a folder that is removed afterwards: it weighs 19 MB, so the tests check
the names alone.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from prometheus_client import generate_latest

from hairtrigger.platform.metering import Families
from tests.deploy.metrics_in_use import in_use

RULES = Path(__file__).parents[2] / "deploy" / "prometheus"


def main() -> None:
    with TemporaryDirectory(prefix="hairtrigger-rules-") as made:
        folder = Path(made)
        promtool = shutil.which("promtool") or fetched(folder)
        shutil.copytree(RULES, folder / "rules")
        (folder / "rules" / "metrics-token").write_text("a token")
        (folder / "rules" / "metrics.txt").write_bytes(generate_latest(Families(in_use().all()).registry()))
        failed = [
            command
            for command in (
                ["--version"],
                ["check", "config", "prometheus.yaml"],
                ["check", "rules", "alerts.yaml"],
                ["test", "rules", "alerts-test.yaml"],
                ["check", "metrics"],
            )
            if not passes([promtool, *command], folder / "rules")
        ]
    sys.exit(f"failed: {failed}" if failed else 0)


def passes(command: Sequence[str], folder: Path) -> bool:
    """Print the command and what it says, and return whether it succeeded."""
    print(f"$ {' '.join(command)}", flush=True)
    with (folder / "metrics.txt").open() as text:
        return subprocess.run(command, cwd=folder, stdin=text, check=False).returncode == 0


def fetched(folder: Path) -> str:
    """Fetch Debian's package of Prometheus, and return the path of the promtool in it."""
    for command in (["apt-get", "download", "prometheus"], ["dpkg-deb", "-x", "prometheus.deb", "unpacked"]):
        if command[0] == "dpkg-deb":
            [package] = folder.glob("prometheus_*.deb")
            package.rename(folder / "prometheus.deb")
        print(f"$ {' '.join(command)}", flush=True)
        subprocess.run(command, cwd=folder, check=True)
    return str(folder / "unpacked" / "usr" / "bin" / "promtool")


if __name__ == "__main__":
    main()
