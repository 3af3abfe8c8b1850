"""Check `deploy/` with the real tools: Helm's own engine and the Compose specification, in their own environment.

Run `./dev poe check-deploy` when `deploy/` changes. The tools weigh 250 MB, so the tests render the chart themselves.
"""

import json
import subprocess
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
PACKAGES = ("helm-python-sdk==0.2.2", "compose-spec==0.2.1")
_CHECK = """
import sys, pathlib, compose_spec, helm_python
deploy = pathlib.Path(sys.argv[1])
chart = helm_python.Chart.load(deploy / "helm" / "hairtrigger")
for name, manifest in chart.render(name="release").items():
    print(f"# {name}", manifest, sep="\\n")
print(helm_python.lint(deploy / "helm" / "hairtrigger", strict=True), file=sys.stderr)
print("services:", sorted(compose_spec.PyCompose.from_json(sys.argv[2]).services), file=sys.stderr)
"""


def main() -> None:
    with TemporaryDirectory(prefix="hairtrigger-deploy-") as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        compose = json.dumps(yaml.safe_load((DEPLOY / "compose.yaml").read_text()))
        sys.exit(subprocess.call([python, "-c", _CHECK, DEPLOY, compose]))


if __name__ == "__main__":
    main()
