"""Run the Web Platform Tests in our sandbox and count them."""

import argparse
import asyncio
import json
from collections import defaultdict
from pathlib import Path

from tests.wpt import expected
from tests.wpt.harness import FOLDERS, Page, Results, results
from tests.wpt.sources import checkout


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.wpt", description=__doc__)
    parser.add_argument("--verbose", action="store_true", help="show each test that fails, and why")
    parser.add_argument("--json", type=Path, help="write every result to this file")
    parser.add_argument("--expect", action="store_true", help="note what fails now as expected")
    parser.add_argument("folders", nargs="*")
    arguments = parser.parse_args()
    found = asyncio.run(_found(arguments.folders or list(FOLDERS)))
    if arguments.verbose:
        _show_failures(found)
    print(_table(found))
    known = expected.expected()
    for page, each in found.items():
        for name in each.failed.keys() - set(known.get(str(page), ())):
            print(f"not expected: {page}: {name}")
    if arguments.expect:
        expected.write({str(page): each.failed for page, each in found.items()})
    if arguments.json:
        arguments.json.write_text(json.dumps({str(page): vars(each) for page, each in found.items()}, indent=1))


async def _found(folders: list[str]) -> dict[Page, Results]:
    place = checkout()
    found = {page: each async for page, each in results(place, place.pages(*folders))}
    return dict(sorted(found.items(), key=lambda item: str(item[0])))


def _show_failures(found: dict[Page, Results]) -> None:
    for page, each in found.items():
        for name, message in each.failed.items():
            print(f"{page}: {name}\n    {' '.join(message.split())[:300]}")


def _table(found: dict[Page, Results]) -> str:
    counted: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for page, each in found.items():
        for folder in (_folder(page.path), "all"):
            row = counted[folder]
            row[0] += 1
            row[1] += len(each.passed)
            row[2] += len(each.passed) + len(each.failed)
    width = max(map(len, counted), default=0)
    rows = [
        f"{folder:{width}}  {files:5}  {passed:6} / {total:6}" for folder, (files, passed, total) in counted.items()
    ]
    rows.sort(key=lambda row: row.startswith("all "))
    return "\n".join([f"{'folder':{width}}  pages  passed /  total", *rows])


def _folder(path: str) -> str:
    return next((folder for folder in FOLDERS if path.startswith(f"{folder}/")), path.split("/", maxsplit=1)[0])


main()
