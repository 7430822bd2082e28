# pyright: basic
"""What one picture scores: each measure with its name, direction and meaning, and its value for each picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from designkit.design.brand import DEFAULT_TOLERANCE, Brand
from designkit.evaluation.calm import copy_contrast
from designkit.evaluation.colour import (
    Colours,
    earth_movers_distance,
    main_colours,
    palette_area,
    palette_distance,
    to_lab,
)
from designkit.evaluation.distances import pairwise_distances
from designkit.evaluation.extractors import Extractor, unpack_calm_area, unpack_colours, unpack_texture
from designkit.evaluation.measuring import Measured, text_measure
from designkit.evaluation.resampling import Array
from designkit.evaluation.texture import texture_similarity

Values = dict[str, list[float | None]]
"""A value for each picture, in order, by the measure's key; None where it has none."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A number that each picture has.

    `better` says which way is good, None where that is a matter of taste. `digits` are those behind the point that
    are worth showing.
    """

    key: str
    title: str
    better: Literal["higher", "lower"] | None
    digits: int
    about: str


CALM_AREA = Measure(
    key="calm_area", title="calm area", better="higher", digits=2,
    about="share of the picture that its largest rectangle without detail covers: where copy can go",
)  # fmt: skip
CALM_CONTRAST = Measure(
    key="calm_contrast", title="copy contrast", better="higher", digits=1,
    about="WCAG contrast ratio (1 to 21; text needs 4.5) of the best colour for copy against the worst spot of the "
    "calm area; black or white, or a brand's own colours for text",
)  # fmt: skip
COLOURFULNESS = Measure(
    key="colourfulness", title="colourfulness", better=None, digits=0,
    about="Hasler & Suesstrunk 2003: 0 grey, 15 slightly, 60 quite, 100 very colourful",
)  # fmt: skip
DETAIL = Measure(
    key="detail", title="detail", better=None, digits=3,
    about="mean energy of the texture's Gabor filters: 0 is flat",
)  # fmt: skip
DISTINCTNESS = Measure(
    key="distinctness", title="distinctness", better="higher", digits=1,
    about="difference to the most similar other picture of the set (root mean square in Lab, 32 x 32 pixels); "
    "below 5 the two are near-duplicates",
)  # fmt: skip
OVERALL = Measure(
    key="overall", title="overall rank", better="higher", digits=0,
    about="mean rank over all measures that have a direction, each counted the same: 100 is first in all, 0 last",
)  # fmt: skip

PALETTE_DISTANCE = Measure(
    key="palette_distance", title="off palette", better="lower", digits=1,
    about="mean CIEDE2000 from the picture's area to the nearest colour of the brand's palette",
)  # fmt: skip
ON_PALETTE = Measure(
    key="on_palette", title="on palette", better="higher", digits=2,
    about="share of the area within the tolerance of a colour of the brand's palette",
)  # fmt: skip
PALETTE_SHARES = Measure(
    key="palette_shares", title="palette shares", better="lower", digits=1,
    about="earth mover's distance (CIEDE2000) from the picture's main colours to the brand's colours in their shares",
)  # fmt: skip
BANNED_AREA = Measure(
    key="banned_area", title="banned colours", better="lower", digits=3,
    about="share of the area within the tolerance of a colour that the brand forbids",
)  # fmt: skip

PSNR = Measure(
    key="psnr", title="PSNR", better="higher", digits=1,
    about="peak signal to noise in decibels against its reference picture, at 256x256; 100 where they are equal",
)  # fmt: skip
SSIM = Measure(
    key="ssim", title="SSIM", better="higher", digits=3,
    about="structural similarity (Wang et al. 2004) with its reference picture, at 256x256",
)  # fmt: skip
MS_SSIM = Measure(
    key="ms_ssim", title="MS-SSIM", better="higher", digits=3,
    about="structural similarity over five scales with its reference picture, at 256x256",
)  # fmt: skip
COLOUR_DISTANCE = Measure(
    key="colour_distance", title="colour distance", better="lower", digits=1,
    about="earth mover's distance (CIEDE2000) between the main colours of the picture and of its reference picture",
)  # fmt: skip
TEXTURE_SIMILARITY = Measure(
    key="texture_similarity", title="texture", better="higher", digits=2,
    about="what the textures of the picture and of its reference picture have in common, 0 to 1: mean of binary "
    "patterns, co-occurrence and Gabor energies",
)  # fmt: skip
COPY_RATIO_MEASURE = Measure(
    key="copy_ratio", title="copy ratio", better=None, digits=2,
    about="distance to the nearest reference picture over that to the next other one; below 0.33 it is a copy, if the "
    "model was trained on the reference",
)  # fmt: skip


def own_values(measured: Sequence[Measured], brand: Brand | None) -> tuple[list[Measure], Values]:
    """What the pictures score by themselves: calm area, contrast, colourfulness, detail, distinctness.

    Copy is set in the brand's colours for text where it has some, else in black or white.
    """
    copy_colours = _copy_colours(brand)
    areas = [unpack_calm_area(each.vectors["look:1"]) for each in measured]
    values: Values = {
        CALM_AREA.key: [area.share for area in areas],
        CALM_CONTRAST.key: [copy_contrast(area, copy_colours)[1] for area in areas],
        COLOURFULNESS.key: [float(each.vectors["look:1"][6]) for each in measured],
        DETAIL.key: [float(unpack_texture(each.vectors["texture:1"]).energies.mean()) for each in measured],
    }
    measures = [CALM_AREA, CALM_CONTRAST, COLOURFULNESS, DETAIL]
    if len(measured) > 1:
        values[DISTINCTNESS.key] = _nearest_other(stacked(measured, "pixels:1"))
        measures.append(DISTINCTNESS)
    return measures, values


def text_values(measured: Sequence[Measured], extractor: Extractor) -> tuple[list[Measure], Values]:
    """How well the pictures fit their prompts, by an extractor that knows text; nothing where there are no prompts."""
    title = str(getattr(extractor, "text_title", ""))
    values = [each.vectors.get(text_measure(extractor, each.picture.prompt)) for each in measured]
    if not title or all(value is None for value in values):
        return [], {}
    measure = Measure(
        key=f"text:{extractor.name}", title=f"{title}[{extractor.name}]", better="higher", digits=1,
        about="how well the picture fits its prompt; prompts that say more can score higher or lower by themselves, so "
        "compare pictures of one prompt, or whole axes",
    )  # fmt: skip
    return [measure], {measure.key: [None if value is None else float(value[0]) for value in values]}


def brand_values(measured: Sequence[Measured], brand: Brand) -> tuple[list[Measure], Values]:
    """How well the pictures keep to a brand's palette; nothing for a brand without colours."""
    measures: list[Measure] = []
    values: Values = {}
    colours = [unpack_colours(each.vectors["colours:1"]) for each in measured]
    if brand.colours:
        palette = to_lab(np.asarray([rgb(each.colour) for each in brand.colours.values()]))
        tolerances = [each.tolerance for each in brand.colours.values()]
        measures += [PALETTE_DISTANCE, ON_PALETTE]
        values[PALETTE_DISTANCE.key] = [palette_distance(each, palette) for each in colours]
        values[ON_PALETTE.key] = [_on_palette(each, palette, tolerances) for each in colours]
        target = _wanted_shares(brand, palette)
        if target is not None:
            measures.append(PALETTE_SHARES)
            values[PALETTE_SHARES.key] = [earth_movers_distance(main_colours(each), target) for each in colours]
    if brand.forbidden:
        banned = to_lab(np.asarray([rgb(colour) for colour in brand.forbidden]))
        measures.append(BANNED_AREA)
        values[BANNED_AREA.key] = [palette_area(each, banned, DEFAULT_TOLERANCE) for each in colours]
    return measures, values


def reference_values(
    measured: Sequence[Measured],
    partners: Sequence[Measured],
    likeness: Sequence[Array | None],
    *,
    are_paired: bool,
) -> tuple[list[Measure], Values]:
    """How alike each picture and its reference picture are: structure, colours and texture.

    Where pictures were not paired by name, but each has the nearest reference picture beside it, being alike pixel by
    pixel is neither good nor bad.
    """
    likeness_measures = [each if are_paired else replace(each, better=None) for each in (PSNR, SSIM, MS_SSIM)]
    values: Values = {
        measure.key: [None if each is None else float(each[at]) for each in likeness]
        for at, measure in enumerate(likeness_measures)
    }
    pairs = list(zip(measured, partners, strict=True))
    palettes: dict[str, Colours] = {}

    def palette(each: Measured) -> Colours:
        if each.sha256 not in palettes:
            palettes[each.sha256] = main_colours(unpack_colours(each.vectors["colours:1"]))
        return palettes[each.sha256]

    values[COLOUR_DISTANCE.key] = [earth_movers_distance(palette(one), palette(two)) for one, two in pairs]
    values[TEXTURE_SIMILARITY.key] = [
        texture_similarity(unpack_texture(one.vectors["texture:1"]), unpack_texture(two.vectors["texture:1"])).mean
        for one, two in pairs
    ]
    return [*likeness_measures, COLOUR_DISTANCE, TEXTURE_SIMILARITY], values


def overall_values(measures: Sequence[Measure], values: Mapping[str, Sequence[float | None]]) -> list[float | None]:
    """The mean rank of each picture over the measures that have a direction, 0 to 100; ties share a rank."""
    from scipy.stats import rankdata

    ranks: list[Array] = []
    for measure in measures:
        row = np.asarray([np.nan if value is None else value for value in values[measure.key]], np.float64)
        if measure.better is None or np.isnan(row).any() or len(row) < 2:
            continue
        ranks.append((rankdata(row if measure.better == "higher" else -row) - 1) / (len(row) - 1))
    if not ranks:
        return []
    return [float(value) for value in 100 * np.mean(ranks, axis=0)]


def stacked(measured: Sequence[Measured], name: str) -> Array:
    """The vectors of one measure of all pictures: [pictures, features] float64."""
    return np.stack([each.vectors[name] for each in measured]).astype(np.float64)


def rgb(colour: str) -> tuple[int, int, int]:
    """`#RRGGBB` as three numbers in [0, 255]."""
    digits = colour.removeprefix("#")
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)


def hexadecimal(lab: Array) -> list[str]:
    """Lab colours `[n, 3]` as `#RRGGBB`, out-of-gamut ones at its edge."""
    from skimage.color import lab2rgb

    values = np.clip(np.round(lab2rgb(lab[None])[0] * 255), 0, 255).astype(int)
    return ["#{:02X}{:02X}{:02X}".format(*row) for row in values]


def _copy_colours(brand: Brand | None) -> list[tuple[int, int, int]]:
    """What copy may be set in: a brand's colours for text and its foreground, else black and white."""
    found: list[str] = []
    if brand is not None:
        found = [each.colour for each in brand.colours.values() if each.role == "text"]
        found += [brand.roles[role] for role in ("foreground", "light", "dark") if role in brand.roles]
    return [rgb(colour) for colour in dict.fromkeys(found)] or [(0, 0, 0), (255, 255, 255)]


def _on_palette(colours: Colours, palette: Array, tolerances: Sequence[float]) -> float:
    """The share of the area that is within each colour's own tolerance."""
    from designkit.evaluation.colour import colour_differences

    near = (colour_differences(colours.lab, palette) <= np.asarray(tolerances)[None]).any(axis=1)
    return float(min(1.0, colours.shares[near].sum()))


def _wanted_shares(brand: Brand, palette: Array) -> Colours | None:
    """The brand's colours in the shares that it wants; None where it states none."""
    shares = np.asarray([each.share or 0.0 for each in brand.colours.values()], np.float64)
    if not shares.sum():
        return None
    return Colours(lab=palette[shares > 0], shares=shares[shares > 0] / shares.sum())


def _nearest_other(thumbnails: Array) -> list[float | None]:
    nearest: list[float | None] = []
    step = max(1, 20_000_000 // len(thumbnails))
    for start in range(0, len(thumbnails), step):
        distances = pairwise_distances(thumbnails[start : start + step], thumbnails)
        rows = np.arange(len(distances))
        distances[rows, rows + start] = np.inf
        nearest += [float(value) for value in distances.min(axis=1)]
    return nearest
