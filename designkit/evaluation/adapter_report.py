# pyright: basic
"""The report on an adapter: what it does to its model, in numbers with intervals, and in pictures.

    report = AdapterReport(read_subject(Path("outputs/lumen-lora")), generator)
    for step in report.steps():
        print(step.done, step.total)
    report.write()                       # report.json and report/*.png; gallery.adapter_page makes report.html of them

Base model and adapter are compared picture by picture, from the same prompts and seeds, so that the interval is that of
the change itself. What the brand's own pictures score stands beside it, as what could be reached.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from designkit.design.brand import Brand
from designkit.errors import ImagesFailed
from designkit.evaluation import designbench
from designkit.evaluation.adapted import (
    STRENGTHS,
    Shot,
    Shots,
    Subject,
    choose_shots,
    draw_shots,
    png_bytes,
    read_subject,
)
from designkit.evaluation.colour import (
    Colours,
    earth_movers_distance,
    main_colours,
    palette_distance,
    picture_colours,
    to_lab,
)
from designkit.evaluation.extractors import DesignDescriber, Extractor, TextExtractor, reduced, squeezed
from designkit.evaluation.paired import interval, paired, rounded
from designkit.evaluation.report import Step
from designkit.evaluation.resampling import Array, mean_interval
from designkit.evaluation.scores import hexadecimal
from designkit.evaluation.sets import COPY_RATIO, memorisation_ratios, near_duplicate_groups, nearest
from designkit.evaluation.texture import Texture, texture, texture_similarity
from designkit.files import write_durably
from designkit.generators.base import Generator

if TYPE_CHECKING:
    from PIL.Image import Image

REPORT, PICTURES_FOLDER = "report.json", "report"
NUM_COLOURS = 6
LEAST_SHARE = 0.02
"""A colour that covers less of the brand's pictures than this is none of its own."""

MAX_MIXED = 16
"""With at most so many of the brand's pictures the amounts of colours are compared: each costs a linear program."""

TEXTURE_PX = 160
DUPLICATE_COSINE_DISTANCE = 0.02
_PAIRS_SHOWN = 6


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What is measured of one picture: its colours, its texture, and a vector of length 1 for each extractor."""

    colours: Colours
    main: Colours
    texture: Texture
    vectors: dict[str, Array] = field(default_factory=dict[str, Array])


class AdapterReport:
    """A report on its way: iterate over `steps()` to its end, then read `document()` or `write()` it.

    The palette is the brand kit's where there is one, else the main colours of the brand's pictures. `extractors` are
    asked beside design descriptors and textures: DINO or CLIP, whose text scores tell how prompts are followed.
    `tuned` is the model that was learned, where that is a whole one.
    """

    def __init__(
        self, subject: Subject, generator: Generator, *, tuned: Generator | None = None, brand: Brand | None = None,
        extractors: Sequence[Extractor] = (), shots: Shots | None = None, num_steps: int | None = None,
    ) -> None:  # fmt: skip
        self.subject = subject
        self.generator = generator
        self.tuned = tuned
        self.num_steps = num_steps
        self.brand = brand
        self.extractors = ({each.name: each for each in (DesignDescriber(), *extractors)}).values()
        self.shots = shots or choose_shots(subject, generator.card)
        self._drawn: dict[str, Image] = {}
        self._failures: dict[str, str] = {}

    def steps(self) -> Iterator[Step]:
        """Draw everything; a step is one picture."""
        self._drawn.clear()
        total = len(self.shots.all)
        drawing = draw_shots(
            self.subject, self.shots.all, self.generator, tuned=self.tuned, num_steps=self.num_steps
        )  # fmt: skip
        for done, (shot, picture, failure) in enumerate(drawing, 1):
            if picture is None:
                self._failures[shot.name] = failure or "unknown"
            else:
                self._drawn[shot.name] = picture
            yield Step(title=f"drawing with {self.subject.name}", done=done, total=total)

    def document(self) -> dict[str, Any]:
        """What `report.json` holds: `measures` of base and adapter, `pairs`, `others`, `strength`, `copies`.

        Raises ImagesFailed where nothing could be drawn.
        """
        if not any(name.endswith("x100") for name in self._drawn):
            reason = next(iter(self._failures.values()), "unknown")
            raise ImagesFailed(f"no picture could be drawn: {reason}")
        own = self._look([picture.image for picture in self.subject.pictures])
        names = list(self._drawn)
        seen = dict(zip(names, self._look([self._drawn[name] for name in names]), strict=True))
        palette, palette_from = self._palette(own)
        brand_pairs = self._pairs(seen, "brand")
        other_pairs = self._pairs(seen, "other")
        measures = list(self._brand_measures(own, brand_pairs, palette))
        measures += self._drift(other_pairs, palette)
        adherence, not_measured = self._adherence(other_pairs, brand_pairs)
        measures += adherence
        facts = self.subject.facts
        card = self.generator.card
        return {
            "format": 1, "adapter": self.subject.name, "method": facts.get("method"), "rank": facts.get("rank"),
            "model": card.name, "model_revision": card.revision, "model_licence": card.licence,
            "best_step": facts.get("best_step"), "held_out_loss": facts.get("held_out_loss"),
            "pictures": len(own), "held_out": sum(picture.held_out for picture in self.subject.pictures),
            "palette": hexadecimal(palette), "palette_from": palette_from,
            "extractors": [each.name for each in self.extractors], "seeds": list(self.shots.seeds),
            "measures": measures, "not_measured": not_measured, "copies": self._copies(own, brand_pairs),
            "strength": self._strengths(own, seen, palette), "pairs": self._pair_rows(own, brand_pairs),
            "others": self._other_rows(other_pairs), "failures": self._failures,
        }  # fmt: skip

    def write(self) -> dict[str, Any]:
        """Write `report.json` and the pictures below `report/` into the subject's folder, and return the document.

        Raises StorageError.
        """
        folder = self.subject.folder
        pictures = folder / PICTURES_FOLDER
        pictures.mkdir(parents=True, exist_ok=True)
        for name, picture in self._drawn.items():
            write_durably(pictures / f"{name}.png", png_bytes(picture))
        for number, picture in enumerate(self.subject.pictures):
            write_durably(pictures / f"own-{number:03d}.png", png_bytes(reduced(picture.image)))
        document = self.document()
        text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
        write_durably(folder / REPORT, text.encode() + b"\n")
        return document

    def _look(self, pictures: Sequence[Image]) -> list[_Seen]:
        vectors: dict[str, list[Array]] = {}
        for extractor in self.extractors:
            size = extractor.batch_size
            found = [v for at in range(0, len(pictures), size) for v in extractor.features(pictures[at : at + size])]
            vectors[extractor.name] = [vector / max(float(np.linalg.norm(vector)), 1e-12) for vector in found]
        seen: list[_Seen] = []
        for number, picture in enumerate(pictures):
            colours = picture_colours(np.asarray(reduced(picture)))
            grey = np.asarray(squeezed(picture.convert("L"), TEXTURE_PX)) / 255.0
            seen.append(
                _Seen(
                    colours=colours, main=main_colours(colours, num_colours=NUM_COLOURS), texture=texture(grey),
                    vectors={name: rows[number] for name, rows in vectors.items()},
                )
            )  # fmt: skip
        return seen

    def _palette(self, own: Sequence[_Seen]) -> tuple[Array, str]:
        """The palette in Lab [n, 3], and whose it is."""
        if self.brand is not None and self.brand.palette:
            rows = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in self.brand.palette.values()]
            return to_lab(np.asarray(rows, np.float64)), f"the brand kit {self.brand.name}"
        palette = _joint(own)
        return palette.lab[palette.shares >= LEAST_SHARE], "the pictures' own main colours"

    def _pairs(self, seen: dict[str, _Seen], kind: str) -> list[tuple[Shot, _Seen, _Seen]]:
        """Each prompt and seed with what was drawn of it without and with the adapter."""
        pairs: list[tuple[Shot, _Seen, _Seen]] = []
        for shot in self.shots.all:
            if shot.kind == kind and shot.strength == 1.0:
                base = shot.name.replace("-x100", "-x000")
                if base in seen and shot.name in seen:
                    pairs.append((shot, seen[base], seen[shot.name]))
        return pairs

    def _brand_measures(
        self, own: Sequence[_Seen], pairs: Sequence[tuple[Shot, _Seen, _Seen]], palette: Array
    ) -> Iterator[dict[str, Any]]:
        yield paired(
            "palette_distance", "Off the palette", "lower", 1,
            "mean CIEDE2000 from the picture's area to the nearest colour of the palette; about 1 is just seen, 10 is "
            "another shade",
            [[palette_distance(each.colours, palette) for each in two] for _, *two in pairs],
            own=[palette_distance(each.colours, palette) for each in own],
        )  # fmt: skip
        some = own[:MAX_MIXED]
        yield paired(
            "colour_mix", "Colours in other amounts", "lower", 1,
            "how far colour must be moved (CIEDE2000 per area) to turn the picture's main colours into those of the "
            "brand's picture that is nearest in this",
            [[_nearest_mix(each, some) for each in two] for _, *two in pairs],
            own=[_nearest_mix(each, [o for o in some if o is not each]) for each in some] if len(some) > 1 else None,
        )  # fmt: skip
        for extractor in self.extractors:
            name = extractor.name
            rows = np.stack([each.vectors[name] for each in own])
            yield paired(
                f"likeness[{name}]", f"Like the brand's pictures, by {_plain(name)}", "higher", 3,
                "mean cosine with every picture of the brand (as DreamBooth's CLIP-I and DINO, arXiv 2208.12242)",
                [[float((rows @ each.vectors[name]).mean()) for each in two] for _, *two in pairs],
                own=_among_themselves(rows),
            )  # fmt: skip
        yield paired(
            "texture", "Texture like the brand's", "higher", 3,
            "what textures have in common (patterns, co-occurrence, Gabor energies), 0 to 1, mean over the brand's",
            [[_texture_likeness(each, own) for each in two] for _, *two in pairs],
            own=[_texture_likeness(each, [other for other in own if other is not each]) for each in own],
        )  # fmt: skip
        subjects = [
            (self._own_numbers(shot.prompt), two) for shot, *two in pairs if self._own_numbers(shot.prompt)
        ]  # fmt: skip
        for extractor in self.extractors:
            name = extractor.name
            yield paired(
                f"subject[{name}]", f"Like the very picture its caption is of, by {_plain(name)}", "higher", 3,
                "cosine with the brand's picture whose caption was drawn",
                [
                    [max(float(own[number].vectors[name] @ each.vectors[name]) for number in numbers) for each in two]
                    for numbers, two in subjects
                ],
            )  # fmt: skip

    def _own_numbers(self, caption: str) -> list[int]:
        return [number for number, picture in enumerate(self.subject.pictures) if picture.caption == caption]

    def _drift(self, pairs: Sequence[tuple[Shot, _Seen, _Seen]], palette: Array) -> Iterator[dict[str, Any]]:
        """How far pictures that have nothing to do with the brand have moved."""
        for extractor in self.extractors:
            name = extractor.name
            rows = np.stack([base.vectors[name] for _, base, _ in pairs])
            apart = 1.0 - rows @ rows.T
            scale = float(apart[~np.eye(len(rows), dtype=bool)].mean()) if len(rows) > 1 else 1.0
            moved = [1.0 - float(base.vectors[name] @ adapted.vectors[name]) for _, base, adapted in pairs]
            mean = mean_interval(moved)
            share = mean.value / max(scale, 1e-9)
            yield {
                "key": f"drift[{name}]", "title": f"Other prompts drift, by {_plain(name)}", "better": "lower",
                "about": "1 - cosine of a picture drawn without and with the adapter, of prompts that do not name the "
                f"brand; pictures of two different prompts are {scale:.3f} apart",
                "digits": 3, "base": {"mean": 0.0, "low": 0.0, "high": 0.0}, "adapter": interval(moved),
                "change": interval(moved), "own": None, "count": len(moved), "share": round(share, 4),
                "verdict": "worse" if share > 0.5 else "none",
            }  # fmt: skip
        yield paired(
            "leak", "Other prompts off the palette", None, 1,
            "as above, of prompts that do not name the brand: where it falls, the brand's colours leak into everything",
            [[palette_distance(each.colours, palette) for each in two] for _, *two in pairs],
        )  # fmt: skip

    def _adherence(
        self, others: Sequence[tuple[Shot, _Seen, _Seen]], brand: Sequence[tuple[Shot, _Seen, _Seen]]
    ) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
        """How well prompts are followed, as far as somebody is there to tell."""
        rows: list[dict[str, Any]] = []
        missing: list[dict[str, str]] = []
        if self.generator.card.name == "starter":
            verdicts = self._verdicts(others)
            rows.append(
                paired(
                    "adherence", "Prompts followed", "higher", 3,
                    "share of the facts of DesignBench's prompts (subject, colour, place, count, ...) that its "
                    f"detector finds, in {len(verdicts)} pictures; `designkit evaluate --bench design` asks hundreds",
                    [[float(np.mean(list(each.facts.values()))) for each in two] for two in verdicts],
                )
            )  # fmt: skip
        readers = [each for each in self.extractors if hasattr(each, "text_scores")]
        rows += [self._text_row(reader, [*brand, *others]) for reader in readers]  # pyright: ignore[reportArgumentType]
        if not rows:
            missing.append({
                "title": "Prompts followed",
                "why": "needs CLIP or SigLIP: name one with --extractor, such as openai/clip-vit-base-patch32",
            })  # fmt: skip
        if not any(each.name.lower().startswith("dino") for each in self.extractors):
            missing.append({
                "title": "Likeness by DINO",
                "why": "no DINO is on this disk: name one with --extractor, such as facebook/dinov2-small",
            })  # fmt: skip
        return rows, missing

    def _verdicts(
        self, pairs: Sequence[tuple[Shot, _Seen, _Seen]]
    ) -> list[tuple[designbench.Verdict, designbench.Verdict]]:
        items = [self.shots.items[shot.number] for shot, *_ in pairs]
        both = [
            designbench.judge([self._drawn[shot.name.replace("-x100", mark)] for shot, *_ in pairs], items)
            for mark in ("-x000", "-x100")
        ]
        return list(zip(*both, strict=True))

    def _text_row(self, reader: TextExtractor, pairs: Sequence[tuple[Shot, _Seen, _Seen]]) -> dict[str, Any]:
        prompts = [shot.prompt for shot, *_ in pairs]
        scores: list[list[float]] = []
        for mark in ("-x000", "-x100"):
            pictures = [self._drawn[shot.name.replace("-x100", mark)] for shot, *_ in pairs]
            size = reader.batch_size
            scores.append([
                score
                for at in range(0, len(pictures), size)
                for score in reader.text_scores(pictures[at : at + size], prompts[at : at + size])
            ])  # fmt: skip
        return paired(
            f"text[{reader.name}]", f"Prompts followed, by {reader.text_title}", "higher", 1,
            "how well pictures fit their prompts, of the brand and others",
            [list(two) for two in zip(*scores, strict=True)],
        )  # fmt: skip

    def _copies(self, own: Sequence[_Seen], pairs: Sequence[tuple[Shot, _Seen, _Seen]]) -> dict[str, Any]:
        """Which pictures are nearer to one picture of the brand than to all others: what is learned by heart."""
        name = list(self.extractors)[-1].name
        rows = np.stack([each.vectors[name] for each in own])
        groups = near_duplicate_groups(rows, DUPLICATE_COSINE_DISTANCE)
        base = np.stack([each.vectors[name] for _, each, _ in pairs])
        adapted = np.stack([each.vectors[name] for _, _, each in pairs])
        ratios, before = memorisation_ratios(adapted, rows, groups), memorisation_ratios(base, rows, groups)
        indices, _ = nearest(adapted, rows)
        order = np.argsort(ratios, kind="stable")
        return {
            "by": name, "limit": round(COPY_RATIO, 3), "count": int((ratios < COPY_RATIO).sum()), "of": len(ratios),
            "base_count": int((before < COPY_RATIO).sum()),
            "nearest": [
                {
                    "file": f"{PICTURES_FOLDER}/{pairs[at][0].name}.png", "prompt": pairs[at][0].prompt,
                    "own": f"{PICTURES_FOLDER}/own-{int(indices[at]):03d}.png",
                    "own_name": self.subject.pictures[int(indices[at])].name, "ratio": rounded(ratios[at]),
                    "base_ratio": rounded(before[at]),
                }
                for at in order[:_PAIRS_SHOWN]
            ],
        }  # fmt: skip

    def _strengths(self, own: Sequence[_Seen], seen: dict[str, _Seen], palette: Array) -> dict[str, Any]:
        """The grid over strengths: a row a prompt, and what each column scores."""
        name = list(self.extractors)[-1].name
        vectors = np.stack([each.vectors[name] for each in own])
        rows = []
        for number in range(self.shots.grid_rows):
            shots = [Shot(kind="brand", number=number, prompt=self.shots.brand_prompts[number],
                          seed=self.shots.seeds[0], strength=strength) for strength in STRENGTHS]  # fmt: skip
            rows.append(shots)
        columns = [[seen[row[at].name] for row in rows if row[at].name in seen] for at in range(len(STRENGTHS))]
        return {
            "strengths": list(STRENGTHS),
            "rows": [
                {"prompt": row[0].prompt, "files": [f"{PICTURES_FOLDER}/{shot.name}.png" for shot in row]}
                for row in rows
            ],
            "palette_distance": [
                rounded(np.mean([palette_distance(each.colours, palette) for each in column])) if column else None
                for column in columns
            ],
            "likeness": [
                rounded(np.mean([(vectors @ each.vectors[name]).mean() for each in column])) if column else None
                for column in columns
            ],
            "by": name,
        }  # fmt: skip

    def _pair_rows(self, own: Sequence[_Seen], pairs: Sequence[tuple[Shot, _Seen, _Seen]]) -> list[dict[str, Any]]:
        rows = []
        for shot, *_ in pairs:
            numbers = self._own_numbers(shot.prompt)
            rows.append({
                "prompt": shot.prompt, "seed": shot.seed,
                "held_out": any(self.subject.pictures[number].held_out for number in numbers),
                "base": f"{PICTURES_FOLDER}/{shot.name.replace('-x100', '-x000')}.png",
                "adapter": f"{PICTURES_FOLDER}/{shot.name}.png",
                "own": f"{PICTURES_FOLDER}/own-{numbers[0]:03d}.png" if numbers else None,
            })  # fmt: skip
        return rows

    def _other_rows(self, pairs: Sequence[tuple[Shot, _Seen, _Seen]]) -> list[dict[str, Any]]:
        name = list(self.extractors)[-1].name
        verdicts = self._verdicts(pairs) if self.generator.card.name == "starter" else [None] * len(pairs)
        return [
            {
                "prompt": shot.prompt, "base": f"{PICTURES_FOLDER}/{shot.name.replace('-x100', '-x000')}.png",
                "adapter": f"{PICTURES_FOLDER}/{shot.name}.png",
                "drift": rounded(1.0 - float(base.vectors[name] @ adapted.vectors[name])),
                "right": None if verdict is None else [verdict[0].right, verdict[1].right],
            }
            for (shot, base, adapted), verdict in zip(pairs, verdicts, strict=True)
        ]  # fmt: skip


def report_adapter(
    adapter: str | Path,
    *,
    model: str | None = None,
    reference: str | Path | None = None,
    brand: str | Path | None = None,
) -> dict[str, Any]:
    """Draw, measure and write the report on what `designkit.finetune` made; returns the document of `report.json`.

    `reference` are the brand's pictures where they have moved, or belong to an adapter's file, which then needs its
    `model` too; `brand` is a kit whose palette counts. `designkit.write_adapter_page` makes a page of it.
    """
    from designkit.design.brand import read_brand
    from designkit.generators import open_generator

    subject = read_subject(Path(adapter), model=model, reference=Path(reference) if reference else None)
    tuned = open_generator(subject.tuned_model) if subject.tuned_model else None
    kit = read_brand(Path(brand)) if brand else None
    report = AdapterReport(subject, open_generator(subject.model), tuned=tuned, brand=kit)
    for _ in report.steps():
        pass
    return report.write()


def _joint(own: Sequence[_Seen]) -> Colours:
    """The main colours of all the brand's pictures together, each picture counted the same."""
    mixed = Colours(
        lab=np.concatenate([each.main.lab for each in own]),
        shares=np.concatenate([each.main.shares for each in own]) / len(own),
    )
    return main_colours(mixed, num_colours=NUM_COLOURS)


def _nearest_mix(one: _Seen, others: Sequence[_Seen]) -> float:
    return min(earth_movers_distance(one.main, other.main) for other in others)


def _among_themselves(rows: Array) -> list[float]:
    """The mean cosine of each of the brand's pictures with the others; none where there is one alone."""
    if len(rows) < 2:
        return []
    cosines = rows @ rows.T
    return [float((cosines[at].sum() - cosines[at, at]) / (len(rows) - 1)) for at in range(len(rows))]


def _texture_likeness(one: _Seen, others: Sequence[_Seen]) -> float:
    values = [texture_similarity(one.texture, other.texture).mean for other in others]
    return float(np.mean(values)) if values else 1.0


def _plain(name: str) -> str:
    """An extractor's name as people say it."""
    short = name.partition(":")[0]
    return {"design": "design descriptors", "starter": "the starter's eye"}.get(short, short)
