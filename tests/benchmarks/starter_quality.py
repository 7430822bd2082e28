"""How well the starter draws what it is told, measured on combinations that its training never showed.

    python tests/benchmarks/starter_quality.py [--model starter] [--per-set 200] [--out outputs/starter-quality]

A detector is trained on rendered scenes first (kept in the output folder) and its own accuracy on renders is
stated; then the model draws captions of scenes, and what the detector and the pixels say is compared with
what each caption asked for. Sets: `held-out` (a subject in a colour that training never paired), `seen` (pairs
that training did show), `natural` (no colour named), `products`, and `word order` (the `seen` scenes in a word
order that training never used). Every set names one subject, its place and a plain background.
"""

# pyright: basic
from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

import designkit
from designkit.models.detector import Detection, Detector
from designkit.starter.captions import Kind, caption
from designkit.starter.colours import COLOURS, nearest_colour
from designkit.starter.renderer import centres, render
from designkit.starter.scenes import POSITIONS, PRODUCTS, Scene, pair_is_held_out, random_scene
from designkit.starter.subjects import SUBJECTS
from designkit.training.config import Schedule
from designkit.training.loop import train
from designkit.training.recipes.autoencoder import CROP, pictures_to_tensor
from designkit.training.recipes.detector import DetectorTask, spoil
from designkit.values import ImageRequest

DETECTOR_SCHEDULE = Schedule(
    steps=1500, batch_size=32, learning_rate=1.5e-3, warmup_steps=100, cooldown=0.4, ema_decay=0.995
)
NUM_RENDERS = 1000
_THIRD = CROP.width / 3


@dataclass(frozen=True, kw_only=True)
class Case:
    """One caption, its scene and the picture that answers it."""

    scene: Scene
    text: str
    picture: Image.Image


def trained_detector(folder: Path) -> Detector:
    """The detector, trained now or taken from an earlier run's checkpoint."""
    task = DetectorTask(seed=11)
    for report in train(task, DETECTOR_SCHEDULE, folder):
        if report.step % 100 == 0:
            print(
                f"detector step {report.step}/{DETECTOR_SCHEDULE.steps} named {report.metrics['named']:.3f}", flush=True
            )
    return task.detector.eval()


def scenes_of(kind: str, count: int) -> list[Scene]:
    """`count` single-subject scenes on plain backgrounds for one set; new to training."""
    rng = random.Random(f"quality/{kind}")
    names = [subject.name for subject in SUBJECTS]
    pairs = [
        (name, colour) for name in names for colour in COLOURS if pair_is_held_out(name, colour) == (kind == "held-out")
    ]
    rng.shuffle(pairs)
    scenes: list[Scene] = []
    for index in range(count):
        subject, colour = (
            pairs[index % len(pairs)] if kind in ("held-out", "seen") else (names[index % len(names)], None)
        )
        scene = replace(
            random_scene(rng), subject=subject, colour=colour, style="flat", count=1, badge=None, product=None,
            product_colour=None, background="plain", second=None, first=rng.choice([c for c in COLOURS if c != colour]),
            position=rng.choice(POSITIONS),
        )  # fmt: skip
        if kind == "products":
            forms = [form for form in PRODUCTS if not pair_is_held_out(subject, form, one_in=20)]
            body = rng.choice([c for c in COLOURS if c != scene.first])
            scene = replace(scene, product=rng.choice(forms), product_colour=body)
        scenes.append(scene)
    return scenes


def draw(model: str, kind: str, scenes: list[Scene]) -> list[Case]:
    """What the model draws for dense captions of the scenes."""
    rng = random.Random(f"captions/{kind}")
    words: Kind = "held-out" if kind == "word order" else "dense"
    texts = [caption(scene, rng, words).text for scene in scenes]
    requests = [
        ImageRequest(
            id=f"{kind.replace(' ', '-')}-{index:04d}",
            prompt=text,
            size=CROP,
            drawn=CROP,
            seed=1000 + index,
            steps=20,
            guidance=4.0,
        )
        for index, text in enumerate(texts)
    ]
    drawn = {image.request.id: image.image for image in designkit.open_generator(model).generate(requests)}
    return [
        Case(scene=scene, text=text, picture=drawn[request.id].convert("RGB"))
        for scene, text, request in zip(scenes, texts, requests, strict=True)
    ]


def background_of(picture: Image.Image) -> str:
    """The colour name of a picture's outer frame (median of the outermost three pixels)."""
    pixels = np.asarray(picture)
    frame = np.concatenate(
        [
            pixels[:3].reshape(-1, 3),
            pixels[-3:].reshape(-1, 3),
            pixels[:, :3].reshape(-1, 3),
            pixels[:, -3:].reshape(-1, 3),
        ]
    )
    return _named(np.median(frame, axis=0))


def colour_of_subject(picture: Image.Image, scene: Scene, *, at: tuple[float, float]) -> str | None:
    """The commonest colour name among pixels around `at` that differ from the background; None where none do."""
    pixels = np.asarray(picture).astype(int)
    ground = np.median(np.concatenate([pixels[:3].reshape(-1, 3), pixels[-3:].reshape(-1, 3)]), axis=0)
    x, y = (round(value) for value in at)
    window = pixels[max(0, y - 24) : y + 24, max(0, x - 24) : x + 24].reshape(-1, 3)
    painted = window[np.abs(window - ground).sum(axis=1) > 60]
    return _named(np.median(painted, axis=0)) if len(painted) >= 40 else None


def _named(colour: np.ndarray) -> str:
    red, green, blue = (round(float(channel)) for channel in colour)
    return nearest_colour((red, green, blue))


def ninth(x: float, y: float) -> tuple[int, int]:
    """Which third of the width and of the height a point lies in."""
    return min(2, int(x / _THIRD)), min(2, int(y / _THIRD))


def score(cases: Iterable[Case], detector: Detector) -> dict[str, float]:
    """Shares of cases in which each thing asked for is there."""
    hits: dict[str, list[bool]] = {
        "background": [],
        "subject": [],
        "position": [],
        "colour": [],
        "subject and colour": [],
    }
    cases = list(cases)
    for start in range(0, len(cases), 32):
        part = cases[start : start + 32]
        found = detector.detect(pictures_to_tensor([case.picture for case in part]), threshold=0.05)
        for case, detections in zip(part, found, strict=True):
            _score_one(case, detections, hits)
    return {name: float(np.mean(values)) for name, values in hits.items() if values}


def _score_one(case: Case, detections: list[Detection], hits: dict[str, list[bool]]) -> None:
    scene = case.scene
    hits["background"].append(background_of(case.picture) == scene.first)
    best = detections[0] if detections else None
    named = best is not None and SUBJECTS[best.subject].name == scene.subject
    hits["subject"].append(named)
    ((true_x, true_y),) = centres(scene, CROP)
    close = best is not None and (
        ninth(best.x, best.y) == ninth(true_x, true_y) or abs(best.x - true_x) + abs(best.y - true_y) < 16
    )
    hits["position"].append(close)
    if scene.colour and not scene.product:
        painted = best is not None and colour_of_subject(case.picture, scene, at=(best.x, best.y)) == scene.colour
        hits["colour"].append(painted)
        hits["subject and colour"].append(named and painted)


def renders(kind: str, count: int, *, glyph_set: str = "fluent", spoilt: bool = False) -> list[Case]:
    """The renderer's own answers: what a perfect model would draw."""
    rng = random.Random(f"renders/{kind}")
    cases: list[Case] = []
    for scene in scenes_of(kind, count):
        picture = render(scene, CROP, glyph_set=glyph_set)
        cases.append(Case(scene=scene, text="", picture=spoil(picture, rng) if spoilt else picture))
    return cases


def control(kind: str, count: int, make: Callable[[int], Image.Image]) -> list[Case]:
    """Pictures that answer nothing, to show what chance scores."""
    return [Case(scene=scene, text="", picture=make(index)) for index, scene in enumerate(scenes_of(kind, count))]


def _noise(index: int) -> Image.Image:
    grain = np.random.default_rng(index).integers(0, 256, (CROP.height, CROP.width, 3), dtype=np.uint8)
    return Image.fromarray(grain).filter(ImageFilter.GaussianBlur(1))


def _blank(index: int) -> Image.Image:
    return Image.new("RGB", (CROP.width, CROP.height), (128, 128, 128))


def contact_sheet(cases: list[Case], path: Path, *, columns: int = 16) -> None:
    """The first pictures of a set side by side."""
    rows = -(-len(cases) // columns)
    sheet = Image.new("RGB", (columns * 132, rows * 132), "white")
    for index, case in enumerate(cases):
        sheet.paste(case.picture, ((index % columns) * 132 + 2, (index // columns) * 132 + 2))
    sheet.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--per-set", type=int, default=200)
    parser.add_argument("--sets", nargs="*", default=["held-out", "seen", "natural", "products", "word order"])
    parser.add_argument("--out", type=Path, default=Path("outputs/starter-quality"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    detector = trained_detector(options.out / "detector")
    table: dict[str, dict[str, float]] = {
        "renders (detector's own accuracy)": score(
            renders("natural", NUM_RENDERS) + renders("held-out", NUM_RENDERS), detector
        ),
        "renders, spoilt": score(renders("natural", NUM_RENDERS, spoilt=True), detector),
        "renders, other glyph set": score(renders("natural", NUM_RENDERS, glyph_set="noto"), detector),
    }
    table["control: noise"] = score(control("natural", options.per_set, _noise), detector)
    table["control: blank"] = score(control("natural", options.per_set, _blank), detector)
    for kind in options.sets:
        cases = draw(options.model, kind, scenes_of("seen" if kind == "word order" else kind, options.per_set))
        table[kind] = score(cases, detector)
        contact_sheet(cases[:96], options.out / f"{kind.replace(' ', '-')}.png")
    print(
        f"\n{'percent':34s}"
        + "".join(f"{name:>20s}" for name in ("background", "subject", "position", "colour", "subject and colour"))
    )
    for name, row in table.items():
        cells = (
            f"{100 * row[key]:20.1f}" if key in row else f"{'-':>20s}"
            for key in ("background", "subject", "position", "colour", "subject and colour")
        )
        print(f"{name:34s}" + "".join(cells))
    if "seen" in table and "held-out" in table:
        gap = 100 * (table["seen"]["subject and colour"] - table["held-out"]["subject and colour"])
        print(f"\nheld-out pairs fall behind seen ones by {gap:.1f} points (subject and colour both right)")
    (options.out / "scores.json").write_text(json.dumps(table, indent=2))
    print(f"contact sheets and scores.json: {options.out}")


if __name__ == "__main__":
    main()
