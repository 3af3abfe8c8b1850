"""mock-llm, a server of another project that answers conversations as its rules say."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.support import node

_PACKAGE = "@dwmkerr/mock-llm"
_PROGRAM = f"""
const {{ createServer }} = require("{_PACKAGE}/dist/server.js");
const server = createServer(JSON.parse(process.argv[1]), "127.0.0.1", 0)
  .listen(0, "127.0.0.1", () => console.log(`listens at ${{server.address().port}}`));
"""


@contextmanager
def running_mock_llm(answers: Mapping[str, tuple[int, Any]]) -> Iterator[str]:
    """Run the server, which answers a message with the status and the body of its name, and yield its address."""
    rules = [
        {
            "path": "/v1/chat/completions",
            "match": f"body.messages[-1].content == '{name}'",
            "response": {"status": status, "content": json.dumps(body)},
        }
        for name, (status, body) in answers.items()
    ]
    folder = node.installed(f"{_PACKAGE}@0.1.29")
    command = [node.NODE, "-e", _PROGRAM, json.dumps({"rules": rules})]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            line = next(line for line in process.stdout if line.startswith("listens at "))
            yield f"http://127.0.0.1:{int(line.split()[-1])}"
        finally:
            process.terminate()
