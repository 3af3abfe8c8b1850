"""A way to run Python inside all or some of the walls of a sandbox worker, and to get its results."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

_SOURCES = Path(__file__).parents[2] / "src"

# Results come back through `out`, because the walls put the standard streams on /dev/null.
_PREAMBLE = f"""
import ctypes, encodings.idna, errno, json, mmap, os, platform, resource, signal, socket, sys, threading, time
sys.path.insert(0, {str(_SOURCES)!r})
from hairtrigger.sandbox import lockdown
from hairtrigger.sandbox.lockdown import landlock, limits, namespaces, privileges, seccomp, self_test
from hairtrigger.sandbox.lockdown.libc import NUMBERS, architecture
from hairtrigger.sandbox.protocol import walls
out = os.dup(1)
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
LEFT = platform.machine() == "x86_64"

def raw(numbers, *arguments):
    number = numbers[0 if LEFT else 1]
    values = [ctypes.c_long(one) if isinstance(one, int) else one for one in (number, *arguments)]
    result = libc.syscall(*values)
    if result == -1:
        raise OSError(ctypes.get_errno(), "refused")
    return result

def told(function):
    try:
        function()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "allowed"

def fault(kind, error, _):  # of the script's own
    os.write(out, f"{{kind.__name__}}: {{error}}".encode())

sys.excepthook = fault

def tell(found):
    os.write(out, json.dumps(found).encode())

def forbid(**answers):
    "As an old kernel or a container does: these system calls fail with these errors, here and in all children."
    steps = [seccomp.Step(0x20, 0, 0, 0)]
    for name, answer in answers.items():
        number = NUMBERS[name][architecture().column]
        steps += [seccomp.Step(0x15, 0, 1, number), seccomp.Step(0x06, 0, 0, 0x0005_0000 | answer)]
    steps.append(seccomp.Step(0x06, 0, 0, 0x7FFF_0000))
    seccomp.program, kept = lambda _: steps, seccomp.program
    privileges.gain_no_privileges()
    seccomp.filter_system_calls()
    seccomp.program = kept
"""


def inside(script: str, *, uid: int | None = None, first: str = "") -> Any:
    """Run a script and return what it told.

    `first` runs before it. With a `uid`, the script itself runs as that user, without any privileges.
    """
    identity = "" if uid is None else f"os.setgroups([]); os.setgid({uid}); os.setuid({uid})\n"
    command = [sys.executable, "-I", "-c", _PREAMBLE + first + identity + script]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, (done.returncode, done.stdout.decode(), done.stderr.decode())
    return json.loads(done.stdout)


def is_root() -> bool:
    return os.geteuid() == 0
