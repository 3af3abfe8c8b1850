"""The report of a benchmark: a table, a JSON file and a plot, with each figure beside its floor.

A floor is a figure of the same machine in the same run, for the same work without the part that is measured. Machines
differ and are noisy, so the ratio of a figure to its floor says more than the figure.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pygal

from bench.machine import Machine
from bench.table import table

_MET = {True: "met", False: "MISSED", None: ""}


@dataclass(frozen=True)
class Figure:
    """One measured value. `series` and `at` place it in the plot, as in "accept" at "64 connections"."""

    series: str
    at: str
    value: float
    unit: str
    floor: float | None = None
    goal: str = ""
    met: bool | None = None

    @property
    def of_floor(self) -> float | None:
        return self.value / self.floor if self.floor else None


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw them there, as SVG")


def tell(title: str, machine: Machine, figures: Sequence[Figure], arguments: argparse.Namespace) -> None:
    """Print the figures, and write the files that were asked for by the arguments of `options`."""
    print("   ".join(f"{name} {value}" for name, value in machine.facts.items()))
    for warning in machine.warnings:
        print(f"NOT QUIET: {warning}. Trust the ratios more than the figures.")
    print(f"\n{text(title, figures)}")
    if arguments.json:
        rows = [asdict(one) | {"of_floor": one.of_floor} for one in figures]
        arguments.json.write_text(json.dumps({"machine": machine.facts, "figures": rows}, indent=2) + "\n")
    if arguments.plot:
        arguments.plot.write_bytes(plot(title, figures))


def text(title: str, figures: Sequence[Figure]) -> str:
    rows = [
        (f"{one.series}, {one.at}", one.value, one.unit, one.floor, _percent(one.of_floor), one.goal, _MET[one.met])
        for one in figures
    ]
    return table((title, "figure", "unit", "floor", "of floor", "goal", ""), rows)


def plot(title: str, figures: Sequence[Figure]) -> bytes:
    """Return a bar chart as SVG, with a group of bars for each `at`."""
    chart = pygal.HorizontalBar(title=title, print_values=True, no_prefix=True)
    places = list(dict.fromkeys(f"{one.at} ({one.unit})" for one in figures))
    chart.x_labels = places
    for series in dict.fromkeys(one.series for one in figures):
        values = {f"{one.at} ({one.unit})": one.value for one in figures if one.series == series}
        chart.add(series, [values.get(place) for place in places])
    if any(one.floor for one in figures):
        floors = {f"{one.at} ({one.unit})": one.floor for one in figures if one.floor}
        chart.add("floor", [floors.get(place) for place in places])
    drawn: bytes = chart.render()
    return drawn


def _percent(ratio: float | None) -> str | None:
    return None if ratio is None else f"{ratio:.0%}"
