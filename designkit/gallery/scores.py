"""What `designkit evaluate` found out about a run, as the page of the run shows it: read from its `metrics.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

METRICS = "metrics.json"
_MAX_BYTES = 200_000_000


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores as texts and numbers: `page` for the whole run, `values` for each image by its id.

    `page` holds `sorts` (key, title and whether higher is better of each measure that pictures can be sorted by),
    `measures` (title, mean, interval, meaning), `axes` (a table for each) and `sets` (scores against the reference).
    `values` maps an image's id to its numbers by the measure's key; `rows` to titles and texts.
    """

    page: Mapping[str, Any] | None = None
    values: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])
    rows: Mapping[str, list[list[str]]] = field(default_factory=dict[str, list[list[str]]])


def read_scores(run: Path) -> Scores:
    """The scores in a run's folder; none where it was not evaluated, or the file is not one of ours."""
    try:
        with (run / METRICS).open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        return _parse(json.loads(data)) if len(data) <= _MAX_BYTES else Scores()
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return Scores()


def _parse(document: Any) -> Scores:
    measures = {str(measure["key"]): measure for measure in document["measures"]}
    values: dict[str, Mapping[str, float]] = {}
    rows: dict[str, list[list[str]]] = {}
    for image in document["images"]:
        numbers = {key: float(image["values"][key]) for key in measures if image["values"].get(key) is not None}
        values[str(image["id"])] = numbers
        rows[str(image["id"])] = [
            [str(measures[key]["title"]), _text(number, measures[key])] for key, number in numbers.items()
        ]
    page = {
        "sorts": [
            [key, str(measure["title"]), measure["better"] == "higher"]
            for key, measure in measures.items()
            if measure["better"] is not None
        ],
        "measures": [
            [str(measure["title"]), _text(measure["mean"], measure), _interval(measure, measure), str(measure["about"])]
            for measure in measures.values()
            if measure["mean"] is not None
        ],
        "axes": [
            _axis_table(str(axis), list(entries), measures)
            for axis, entries in groupby(document["axes"], key=lambda row: row["axis"])
        ],
        "sets": [_set_row(row) for row in document["sets"]],
        "reference": str(document["reference"]["name"]) if document["reference"] else None,
    }
    return Scores(page=page, values=values, rows=rows)


def _axis_table(axis: str, entries: list[Any], measures: Mapping[str, Any]) -> dict[str, Any]:
    """One row for each measure, one column for each value of the axis; the best is marked where it leads."""
    columns = sorted({str(each["value"]) for entry in entries for each in entry["values"]})
    rows: list[dict[str, Any]] = []
    for entry in entries:
        measure = measures[entry["measure"]]
        cells = {
            str(each["value"]): [_text(each["mean"], measure), _interval(each, measure)] for each in entry["values"]
        }
        rows.append({
            "title": str(measure["title"]),
            "cells": [cells.get(column, ["", ""]) for column in columns],
            "best": columns.index(str(entry["values"][0]["value"])),
            "leads": entry["leads"] is True,
            "p": f"{float(entry['p']):.2g}",
        })  # fmt: skip
    return {"axis": axis, "columns": columns, "rows": rows}


def _set_row(row: Any) -> list[str]:
    """Score, value, interval, value at the floor's size, and what real pictures score against real ones there."""
    numbers = [row["value"], row.get("value_at_floor"), row.get("floor")]
    value, at_floor, floor = ("" if number is None else f"{float(number):.4g}" for number in numbers)
    interval = f"{float(row['low']):.4g} to {float(row['high']):.4g}" if row.get("low") is not None else ""
    return [str(row["score"]), value, interval, at_floor, floor]


def _interval(entry: Any, measure: Any) -> str:
    return f"{_text(entry['low'], measure)} to {_text(entry['high'], measure)}"


def _text(number: Any, measure: Any) -> str:
    return f"{float(number):.{max(0, min(6, int(measure['digits'])))}f}"
