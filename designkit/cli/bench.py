"""`designkit evaluate --bench design --model NAME`: a model draws DesignBench and is judged, beside its controls."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from designkit.cli.console import note, say, say_json
from designkit.cli.make import OpenedModel, draw_run, fetch_models, finish_run
from designkit.cli.planning import make_plans
from designkit.files import write_durably

if TYPE_CHECKING:
    from PIL import Image

    from designkit.evaluation.designbench import Item, Score, Verdict

RESULT = "designbench.json"


def run_bench(model: str, out: Path, *, per_task: int | None = None, as_json: bool = False) -> None:
    """Draw every prompt of DesignBench into `out/designbench-<model>/`, judge the pictures and print the table.

    The same command again draws only what is missing. Raises ModelRefused and StorageError as `generate` does.
    """
    from designkit.evaluation import designbench
    from designkit.runs.folder import open_run

    items = designbench.bench_items(per_task or designbench.PER_TASK)
    slug = re.sub(r"[^a-z0-9.-]+", "-", model.lower()).strip("-.") or "model"
    prompts = out / f"designbench-{slug}.jsonl"
    out.mkdir(parents=True, exist_ok=True)
    write_durably(prompts, designbench.prompt_lines(items).encode())
    (plan,) = make_plans([str(prompts)], model=model, limit=None, overrides=None)
    if fetch_models([plan]):
        (plan,) = make_plans([str(prompts)], model=model, limit=None, overrides=None)
    began = time.monotonic()
    with open_run(out / plan.file.name) as run:
        report = draw_run(plan, run, OpenedModel("auto"))
    finish_run(report, seconds=time.monotonic() - began)
    note("judging ...")
    columns = {"renders": designbench.rendered_answers(items),
               "other glyphs": designbench.rendered_answers(items, glyph_set="noto"),
               "noise": designbench.noise_pictures(items), "blank": designbench.blank_pictures(items)}  # fmt: skip
    verdicts = designbench.judge(_pictures(report.folder, items), items)
    scores = {plan.card.name: designbench.scores(verdicts)}
    scores |= {name: designbench.scores(designbench.judge(pictures, items)) for name, pictures in columns.items()}
    document = _document(plan.card.name, designbench.bench_id(items), scores, verdicts)
    write_durably(report.folder / RESULT, json.dumps(document, indent=2).encode() + b"\n")
    if as_json:
        say_json(document)
        return
    _print_table(scores, title=f"DesignBench {document['bench']}, {len(items):,} prompts", model=plan.card.name)
    say(f"  page    {report.folder / 'index.html'}")
    say(f"  scores  {report.folder / RESULT}")


def _pictures(folder: Path, items: Sequence[Item]) -> list[Image.Image | None]:
    from PIL import Image

    from designkit.runs.folder import read_run

    files = {record.choices.get("item"): record.file for record in read_run(folder).records}
    pictures: list[Image.Image | None] = []
    for item in items:
        file = files.get(item.name)
        pictures.append(Image.open(folder / file).convert("RGB") if file else None)
    return pictures


def _document(
    model: str, bench_id: str, scores: Mapping[str, Sequence[Score]], verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    return {
        "bench": f"designbench-1-{bench_id}",
        "model": model,
        "scores": {
            name: {
                score.task: {
                    "right": score.right, "total": score.total, "share": round(score.share, 4),
                    "interval": [round(score.low, 4), round(score.high, 4)],
                }
                for score in rows
            }
            for name, rows in scores.items()
        },
        "items": [
            {"item": verdict.item.name, "prompt": verdict.item.prompt, "right": verdict.right, "facts": verdict.facts}
            for verdict in verdicts
        ],
    }  # fmt: skip


def _print_table(scores: Mapping[str, Sequence[Score]], *, title: str, model: str) -> None:
    """Percent right: the model with its 95 % interval, then the judge's own answers and the controls."""
    others = [name for name in scores if name != model]
    say(f"{title}: percent right (95 % interval)")
    say(f"  {'':22s}{model[:22]:>22s}" + "".join(f"{name:>14s}" for name in others))
    for place, score in enumerate(scores[model]):
        interval = f"{100 * score.share:5.1f} ({100 * score.low:4.1f} to {100 * score.high:5.1f})"
        cells = "".join(f"{100 * scores[name][place].share:14.1f}" for name in others)
        say(f"  {score.task:22s}{interval:>22s}{cells}")
    say("  renders: what a perfect model would draw, so the judge's own errors; other glyphs: drawings it never saw.")
