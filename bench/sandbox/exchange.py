"""Build guests in which one part of ours is exchanged for an ordinary one: `python exchange.py GUEST_FOLDER TO`.

It runs with the packages that build the guest (pyproject.toml, build-system), and not in our environment.
"""

import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Change = Callable[[str], str]

# Emscripten's small allocator, as wasi-libc has it, in place of guest/malloc.c. There is no layout of the image.
_ALLOCATOR = """
#include <stddef.h>
#include <stdint.h>
void *sbrk(intptr_t more)
{{
    size_t pages = __builtin_wasm_memory_size(0);
    if (more && __builtin_wasm_memory_grow(0, (more + 65535) / 65536) == SIZE_MAX)
        return (void *)-1;
    return (void *)(pages * 65536);
}}
#include "{emmalloc}"
char *image_end;
static uint8_t plan[(1u << 21) / 4];
extern unsigned char __heap_base;
uint8_t *plan_of_blocks(void) {{ return plan; }}
char *end_image(void) {{ return (char *)sbrk(0); }}
char *first_block(void) {{ return (char *)&__heap_base; }}
"""
_READER = "JSValue value = json_parsed(data, length, &is_left);"
_ENGINES_READER = 'JSValue value = JS_ThrowTypeError(ctx, "");\n    is_left = 1;'


def main(guest: Path, to: Path) -> None:
    sys.path.insert(0, str(guest))
    build: Any = importlib.import_module("build")
    patches = tuple(build.PATCHES)
    without_counts = tuple(patch for patch in patches if "JS_REF_COUNT" not in patch[0])
    variants: dict[str, tuple[Any, Mapping[str, Change]]] = {
        "ours": (patches, {}),
        "counts": (without_counts, {}),
        "reader": (patches, {"guest.c": lambda text: _replaced(text, _READER, _ENGINES_READER)}),
        # An ordinary allocator fills the holes of the image, so references to its objects must be counted.
        "allocator": ((), {"malloc.c": lambda _: _ALLOCATOR.format(emmalloc=_emmalloc())}),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build.PATCHES = ()
        original = build._sources(folder, os.environ)  # noqa: SLF001
        for variant, (patched, changes) in variants.items():
            if (to / f"{variant}.wasm").exists():
                continue
            sources = folder / variant / "engine"
            shutil.copytree(original, sources)
            build.PATCHES = patched
            build._patch(sources / "quickjs.c")  # noqa: SLF001
            build.HERE = folder / variant / "guest"
            shutil.copytree(guest, build.HERE)
            for file, change in changes.items():
                (build.HERE / file).write_text(change((build.HERE / file).read_text()))
            made = build._linked(build._compiled(sources, folder / variant), folder / variant)  # noqa: SLF001
            shutil.copy(made, to / f"{variant}.wasm")


def _replaced(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise ValueError(f"The guest has changed: {old}")
    return text.replace(old, new)


def _emmalloc() -> Path:
    place: Any = importlib.import_module("ziglang").__file__
    return Path(place).parent / "lib/libc/wasi/emmalloc/emmalloc.c"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
