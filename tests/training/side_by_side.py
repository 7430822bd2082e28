"""What two processes do together, run by `accelerate launch`; each writes its weights and what it saw.

accelerate launch --cpu --num_processes 2 -m tests.training.side_by_side FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from accelerate import PartialState
from safetensors.torch import save_file

from designkit.training.data import open_pictures
from designkit.training.loop import train
from tests.training.tasks import GameTask, LineTask, schedule, write_weights
from tests.training.tiny_finetunings import learn, recipe_for

PLAN = schedule(batch_size=8, checkpoint_minutes=60)
TOGETHER = ("training.steps=3", "training.batch_size=4")


def main(out: Path) -> None:
    rank = PartialState(cpu=True).process_index
    task = GameTask(has_batch_statistics=False)
    if rank == 1:  # One process has other first weights and less memory: all learn alike nevertheless.
        next(task.module.generator.parameters()).data.zero_()
        task.runs_out_above = 2
    reports = list(train(task, PLAN, out / "game"))
    write_weights(task.module, out / f"game-{rank}.safetensors")
    with_statistics = GameTask()
    list(train(with_statistics, PLAN, out / "statistics"))
    write_weights(with_statistics.module, out / f"statistics-{rank}.safetensors")
    timed = LineTask()  # Clocks differ; the number of steps must not.
    num_steps = len(list(train(timed, PLAN.model_copy(update={"steps": None, "minutes": 0.005}), out / "timed")))
    pictures = open_pictures(out / "pictures", side_px=8, cache=out / "cache")
    learned = learn(recipe_for(out / "model", out / "brand", *TOGETHER, method="lokr"), out / "finetuning")
    save_file(learned.learning.tensors(), out / f"finetuning-{rank}.safetensors")
    seen = {
        "rows": task.rows_seen, "losses": [report.loss for report in reports], "timed steps": num_steps,
        "pictures": pictures.pixels.astype(int).sum().item(),
    }  # fmt: skip
    (out / f"seen-{rank}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
