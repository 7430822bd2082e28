# pyright: basic
"""The report of an evaluation: what each picture scores, which choices score best, and how two sets compare.

A report is plain data in the shape of `metrics.json`; the same pictures give the same report.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from designkit.design.brand import Brand
from designkit.evaluation.cache import MeasureCache
from designkit.evaluation.colour import main_colours
from designkit.evaluation.distances import (
    Comparison,
    compare_coverage,
    compare_frechet,
    compare_kernel,
    inception_score,
)
from designkit.evaluation.extractors import (
    ColourCounter,
    DesignDescriber,
    Extractor,
    Looker,
    TextureReader,
    Thumbnailer,
    principal_components,
    unpack_calm_area,
    unpack_colours,
)
from designkit.evaluation.measuring import Measured, compare_pairs, measure_pictures
from designkit.evaluation.pictures import PictureSet
from designkit.evaluation.resampling import CONFIDENCE, Array, adjusted_p_values, lead_p_value, mean_interval
from designkit.evaluation.scores import (
    COPY_RATIO_MEASURE,
    OVERALL,
    Measure,
    Values,
    brand_values,
    hexadecimal,
    overall_values,
    own_values,
    reference_values,
    stacked,
    text_values,
)
from designkit.evaluation.sets import (
    COPY_RATIO,
    mean_pairwise_distance,
    memorisation_ratios,
    near_duplicate_groups,
    nearest,
    vendi_score,
)
from designkit.files import write_durably

METRICS = "metrics.json"
DUPLICATE_DIFFERENCE = 5.0
"""Root mean square difference in Lab, at 32 x 32 pixels, up to which two pictures are near-duplicates."""

LIGHT = (ColourCounter(), Looker(), TextureReader(), Thumbnailer())
"""What every picture is measured by."""

_MAX_NAMED = 200
_BY_NAME = "file name"


@dataclass(frozen=True, kw_only=True)
class Step:
    """How far an evaluation is: `done` of `total` pictures of what it is at, as `title` says."""

    title: str
    done: int
    total: int


class Evaluation:
    """An evaluation on its way: iterate over `steps()` to its end, then read `report()`.

    `extractors` are those by which sets are compared, beside the pixels. The first that comes from the user
    decides how near pictures are to the reference; `design` does where there is none.
    """

    def __init__(
        self,
        pictures: PictureSet,
        *,
        extractors: Sequence[Extractor],
        cache: MeasureCache,
        reference: PictureSet | None = None,
        brand: Brand | None = None,
        threads: int = 1,
        seed: int = 0,
    ) -> None:
        self._pictures = pictures
        self._reference = reference
        self._brand = brand
        self._extractors = tuple(extractors)
        self._cache = cache
        self._threads = threads
        self._seed = seed
        self._measured: list[Measured] = []
        self._others: list[Measured] = []
        self._likeness: list[Array | None] = []
        self._partners: list[int] = []
        self._paired_by = ""

    def steps(self) -> Iterator[Step]:
        """Measure every picture, and compare each with its reference picture; a step is one picture."""
        extractors = (*LIGHT, *self._extractors)
        for pictures, into in ((self._pictures, self._measured), (self._reference, self._others)):
            if pictures is None:
                continue
            # A second measuring of the same evaluation begins anew.
            into.clear()
            total = len(pictures.pictures)
            for measured in measure_pictures(pictures.pictures, extractors, self._cache, threads=self._threads):
                into.append(measured)
                yield Step(title=f"measuring {pictures.name}", done=len(into), total=total)
        good, others = _good(self._measured), _good(self._others)
        if not good or not others:
            return
        self._partners, self._paired_by = self._find_partners(good, others)
        self._likeness = []
        pairs = [(one, others[partner]) for one, partner in zip(good, self._partners, strict=True)]
        for likeness in compare_pairs(pairs, self._cache, threads=self._threads):
            self._likeness.append(likeness)
            yield Step(title="comparing with the reference", done=len(self._likeness), total=len(pairs))

    def report(self) -> dict[str, Any]:
        """The document that `metrics.json` holds; see `write_report` for its keys."""
        good, others = _good(self._measured), _good(self._others)
        measures: list[Measure] = []
        values: Values = {}
        document: dict[str, Any] = {
            "format": 1,
            "name": self._pictures.name,
            "count": len(good),
            "broken": [{"file": each.picture.file, "reason": each.failure} for each in self._measured if each.failure],
            "seed": self._seed,
            "confidence": CONFIDENCE,
            "brand": self._brand.name if self._brand else None,
            "reference": None,
            "extractors": [
                {"name": each.name, "resize": each.resize, "licence": each.licence} for each in self._extractors
            ],
        }
        if not good:
            return {**document, "measures": [], "images": [], "axes": [], "sets": [], "diversity": [], "duplicates": []}
        found = [own_values(good, self._brand), *(text_values(good, each) for each in self._extractors)]
        if self._brand is not None:
            found.append(brand_values(good, self._brand))
        copies: list[str] = []
        if others:
            partners = [others[partner] for partner in self._partners]
            are_paired = self._paired_by == _BY_NAME
            found.append(reference_values(good, partners, self._likeness, are_paired=are_paired))
            if self._reference is not None:
                document["reference"] = {
                    "name": self._reference.name,
                    "count": len(others),
                    "paired_by": self._paired_by,
                    "broken": [
                        {"file": each.picture.file, "reason": each.failure} for each in self._others if each.failure
                    ],
                }
            groups = near_duplicate_groups(stacked(others, "pixels:1"), DUPLICATE_DIFFERENCE)
            name = self._nearness()
            ratios = [float(each) for each in memorisation_ratios(stacked(good, name), stacked(others, name), groups)]
            found.append(([COPY_RATIO_MEASURE], {COPY_RATIO_MEASURE.key: list(ratios)}))
            copies = [each.picture.file for each, ratio in zip(good, ratios, strict=True) if ratio < COPY_RATIO]
            document["copies"] = {"by": name, "share": len(copies) / len(good), "files": copies[:_MAX_NAMED]}
        for more, their_values in found:
            measures += more
            values |= their_values
        overall = overall_values(measures, values)
        if overall:
            measures.insert(0, OVERALL)
            values[OVERALL.key] = overall
        document["measures"] = [
            {**asdict(measure), **_summary(good, values[measure.key], measure, self._seed)} for measure in measures
        ]
        document["images"] = [self._image(each, others, measures, values, at) for at, each in enumerate(good)]
        document["axes"] = _axes(good, measures, values, self._seed)
        document["diversity"] = self._diversity(good, others)
        document["sets"] = self._sets(good, others) if others else []
        groups = near_duplicate_groups(stacked(good, "pixels:1"), DUPLICATE_DIFFERENCE)
        document["duplicates"] = [[good[index].picture.file for index in group] for group in groups[:_MAX_NAMED]]
        return document

    def _find_partners(self, good: Sequence[Measured], others: Sequence[Measured]) -> tuple[list[int], str]:
        """The reference picture of each picture: the one of its name if all have one, else the nearest."""
        by_name = {Path(each.picture.file).with_suffix("").as_posix(): at for at, each in enumerate(others)}
        names = [Path(each.picture.file).with_suffix("").as_posix() for each in good]
        if all(name in by_name for name in names):
            return [by_name[name] for name in names], _BY_NAME
        name = self._nearness()
        indices, _ = nearest(stacked(good, name), stacked(others, name))
        return [int(index) for index in indices], f"nearest by {name}"

    def _nearness(self) -> str:
        """The extractor by which nearest pictures are found."""
        shipped = ("randconv", "design", "starter")
        own = [each.name for each in self._extractors if each.name.partition(":")[0] not in shipped]
        design = [each.name for each in self._extractors if each.name.startswith("design:")]
        return (own or design or ["pixels:1"])[0]

    def _image(
        self, measured: Measured, others: Sequence[Measured], measures: Sequence[Measure], values: Values, at: int
    ) -> dict[str, Any]:
        area = unpack_calm_area(measured.vectors["look:1"])
        palette = main_colours(unpack_colours(measured.vectors["colours:1"]))
        image: dict[str, Any] = {
            "id": measured.picture.id,
            "file": measured.picture.file,
            "choices": dict(measured.picture.choices),
            "values": {measure.key: _rounded(values[measure.key][at]) for measure in measures},
            "calm_box": [round(each, 4) for each in (area.left, area.top, area.right, area.bottom)],
            "colours": [
                {"colour": colour, "share": round(float(share), 4)}
                for colour, share in zip(hexadecimal(palette.lab), palette.shares, strict=True)
            ],
        }
        if others:
            image["reference"] = others[self._partners[at]].picture.file
        return image

    def _vectors(
        self, good: Sequence[Measured], others: Sequence[Measured]
    ) -> Iterator[tuple[str, str, Array, Array | None]]:
        """Each extractor's name and resize filter, with the vectors of both sets; pixels by their main directions."""
        pixels = stacked(good, "pixels:1")
        more_pixels = stacked(others, "pixels:1") if others else None
        base = pixels if more_pixels is None else more_pixels
        if len(base) > 1:
            name, mean, directions = principal_components(base)
            projected = None if more_pixels is None else (more_pixels - mean) @ directions.T
            yield name, Thumbnailer().resize, (pixels - mean) @ directions.T, projected
        for each in self._extractors:
            yield each.name, each.resize, stacked(good, each.name), stacked(others, each.name) if others else None

    def _diversity(self, good: Sequence[Measured], others: Sequence[Measured]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for name, _, vectors, more in self._vectors(good, others):
            if len(vectors) < 2:
                continue
            row = {
                "extractor": name,
                "mean_distance": _rounded(mean_pairwise_distance(vectors)),
                "vendi": _rounded(_vendi(vectors, vectors)),
            }
            if more is not None and len(more) > 1:
                row["reference_mean_distance"] = _rounded(mean_pairwise_distance(more))
                row["reference_vendi"] = _rounded(_vendi(more, more))
            rows.append(row)
        return rows

    def _sets(self, good: Sequence[Measured], others: Sequence[Measured]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        if min(len(good), len(others)) < 2:
            return rows
        for each in self._extractors:
            classes = f"classes:{each.name}"
            if classes in good[0].vectors:
                score = inception_score(stacked(good, classes))
                rows.append({"score": f"IS[{each.name}]", "better": "higher", "value": score, "resize": each.resize})
        is_inception = {each.name for each in self._extractors if getattr(each, "is_inception", False)}
        for name, resize, vectors, more in self._vectors(good, others):
            assert more is not None, "there is a reference"
            short = ("FID", "KID") if name in is_inception else ("FD", "KD")
            scores: dict[str, Comparison] = {
                f"{short[0]}[{name}]": compare_frechet(vectors, more, seed=self._seed),
                f"{short[1]}[{name}]": compare_kernel(vectors, more, seed=self._seed),
            }
            if min(len(vectors), len(more)) > 5:
                coverage = compare_coverage(vectors, more, seed=self._seed)
                scores |= {f"{title}[{name}]": comparison for title, comparison in coverage.items()}
            for title, comparison in scores.items():
                better = "lower" if title.startswith(short) else "higher"
                numbers = {key: _rounded(value) for key, value in asdict(comparison).items()}
                rows.append({"score": title, "better": better, **numbers, "resize": resize})
        return rows


def write_report(folder: Path, report: Mapping[str, Any]) -> Path:
    """Write `metrics.json` into a folder, durably, and return its path; raises StorageError.

    `measures` says what is measured, with the mean over all pictures and its interval; `images` holds each picture's
    values; `axes` which value of an axis is best in which measure; `sets` the scores against the reference;
    `diversity`, `duplicates` and `copies` what the set is like; `broken` the files that could not be read.
    """
    path = folder / METRICS
    text = json.dumps(report, ensure_ascii=False, indent=1, allow_nan=False)
    write_durably(path, text.encode() + b"\n")
    return path


def default_extractors() -> list[Extractor]:
    """The extractors that everyone has: fixed random convolutions, design descriptors, and the shipped starter."""
    from designkit.evaluation.networks import RandomConvolutions, StarterEye

    return [RandomConvolutions(), DesignDescriber(), StarterEye()]


def open_extractor(name: str) -> Extractor:
    """The extractor that a user names: `randconv`, `design`, `starter`, an Inception file, a folder or a Hub id.

    A TorchScript file other than `inception-2015-12-05.pt` needs its hash: `FILE.pt@sha256:<64 digits>`. Raises
    ModelRefused where there is none that can be used.
    """
    path, _, expected = name.partition("@sha256:")
    if name == "design":
        return DesignDescriber()
    if name in ("randconv", "starter"):
        from designkit.evaluation.networks import RandomConvolutions, StarterEye

        return RandomConvolutions() if name == "randconv" else StarterEye()
    if path.endswith(".pt"):
        from designkit.evaluation.networks import Inception

        return Inception(Path(path), expected or None)
    from designkit.evaluation.pretrained import open_pretrained

    return open_pretrained(name)


def _good(measured: Sequence[Measured]) -> list[Measured]:
    return [each for each in measured if each.failure is None]


def _vendi(vectors: Array, base: Array) -> float:
    """Vendi score about the mean of the set: features that all pictures share would drown what differs."""
    return vendi_score(vectors - base.mean(axis=0))


def _summary(good: Sequence[Measured], values: Sequence[float | None], measure: Measure, seed: int) -> dict[str, Any]:
    """The mean over all pictures that have the measure, its interval, and the best picture."""
    known = [(value, each.picture.file) for value, each in zip(values, good, strict=True) if value is not None]
    if not known:
        return {"mean": None, "low": None, "high": None, "best": None}
    mean = mean_interval([value for value, _ in known], seed=seed)
    best = None
    if measure.better is not None:
        best = (max if measure.better == "higher" else min)(known, key=lambda entry: entry[0])[1]
    return {"mean": _rounded(mean.value), "low": _rounded(mean.low), "high": _rounded(mean.high), "best": best}


def _axes(good: Sequence[Measured], measures: Sequence[Measure], values: Values, seed: int) -> list[dict[str, Any]]:
    """For each axis and each measure with a direction: the mean of each value, best first, and whether the best leads.

    The p-value is of a permutation test, corrected for the number of axes and measures looked at.
    """
    axes = dict.fromkeys(axis for each in good for axis in each.picture.choices)
    rows: list[dict[str, Any]] = []
    for axis in axes:
        for measure in measures:
            pairs = [
                (value, each.picture.choices[axis])
                for value, each in zip(values[measure.key], good, strict=True)
                if value is not None and axis in each.picture.choices
            ]
            names = list(dict.fromkeys(name for _, name in pairs))
            if measure.better is None or len(names) < 2:
                continue
            entries = []
            for name in names:
                mean = mean_interval([value for value, choice in pairs if choice == name], seed=seed)
                numbers = {key: _rounded(number) for key, number in asdict(mean).items() if key != "value"}
                entries.append({"value": name, "mean": _rounded(mean.value), **numbers})
            entries.sort(key=lambda entry: -entry["mean"] if measure.better == "higher" else entry["mean"])
            p_value = lead_p_value(
                [value for value, _ in pairs],
                [name for _, name in pairs],
                is_higher_better=measure.better == "higher",
                seed=seed,
            )
            rows.append({"axis": axis, "measure": measure.key, "values": entries, "p": p_value})
    for row, adjusted in zip(rows, adjusted_p_values([row["p"] for row in rows]), strict=True):
        row["p"] = round(adjusted, 5)
        row["leads"] = adjusted <= 1 - CONFIDENCE + 1e-12
    return rows


def _rounded(value: Any) -> Any:
    """A number with six significant digits: more would differ between machines."""
    if not isinstance(value, float | np.floating):
        return value
    return float(f"{float(value):.6g}") if math.isfinite(value) else None
