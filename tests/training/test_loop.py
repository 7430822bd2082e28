"""The training loop: its schedule, its checkpoints, and that stopping changes nothing."""

from pathlib import Path
from typing import Any

import pytest
import torch

from designkit.models.checkpoint import load_checkpoint, save_checkpoint
from designkit.training.config import Schedule
from designkit.training.ema import MovingAverage
from designkit.training.learner import TrainingStopped
from designkit.training.loop import Phase, rate_factor, train

STEPS = 12


class Line(torch.nn.Module):
    """Fit y = 2x with a spoilt step on demand."""

    def __init__(self, nan_from: int | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(3, 1)
        self.nan_from = nan_from

    def forward(self, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, float]]:
        loss = (self.layer(batch["x"]) - batch["y"]).square().mean()
        if self.nan_from is not None and batch["step"] >= self.nan_from:
            loss = loss * float("nan")
        return loss, {"error": float(loss.detach())}


class LineTask:
    seed = 0

    def __init__(self, nan_from: int | None = None) -> None:
        self.module = Line(nan_from)

    def batch(self, step: int, size: int) -> dict[str, Any]:
        x = torch.randn((size, 3), generator=torch.Generator().manual_seed(step))
        return {"x": x, "y": 2 * x.sum(dim=1, keepdim=True), "step": step}

    def phases(self, schedule: Schedule) -> list[Phase]:
        groups = [{"params": list(self.module.parameters()), "lr": schedule.learning_rate}]
        return [Phase(loss=self.module, groups=groups)]

    def look(self) -> None:
        pass


def schedule(**changes: Any) -> Schedule:
    settings = {"steps": STEPS, "batch_size": 4, "learning_rate": 0.05, "warmup_steps": 3, "precision": "fp32"}
    return Schedule(**{**settings, "checkpoint_minutes": 1e-9, **changes})


def weights(task: LineTask) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in task.module.state_dict().items()}


def test_training_lowers_the_loss_and_reports_every_step(tmp_path: Path):
    reports = list(train(LineTask(), schedule(steps=60), tmp_path))
    assert [report.step for report in reports] == list(range(1, 61))
    assert reports[-1].loss < 0.2 * reports[0].loss


@pytest.mark.parametrize("stop_after", [1, 5, 11])
def test_stopped_and_resumed_training_ends_in_the_same_bytes_as_training_never_stopped(tmp_path: Path, stop_after: int):
    whole = LineTask()
    list(train(whole, schedule(), tmp_path / "whole"))
    for report in train(LineTask(), schedule(), tmp_path / "parts"):
        if report.step == stop_after:
            break
    resumed = LineTask()
    rest = list(train(resumed, schedule(), tmp_path / "parts"))
    assert rest[0].step == stop_after + 1
    expected = weights(whole)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(resumed).items())


def test_a_finished_run_trains_no_further_and_gives_its_weights_back(tmp_path: Path):
    first, second = LineTask(), LineTask()
    list(train(first, schedule(), tmp_path))
    assert list(train(second, schedule(), tmp_path)) == []
    assert torch.equal(first.module.layer.weight, second.module.layer.weight)


def test_a_loss_that_is_no_number_stops_training_and_leaves_good_weights_behind(tmp_path: Path):
    with pytest.raises(TrainingStopped, match="learning_rate"):
        list(train(LineTask(nan_from=6), schedule(), tmp_path))
    saved = load_checkpoint(tmp_path)
    assert saved is not None
    assert all(bool(tensor.isfinite().all()) for tensor in saved.tensors.values())


def test_the_learning_rate_warms_up_stays_and_falls_to_nothing():
    plan = schedule(steps=100, warmup_steps=10, cooldown=0.25)
    factors = [rate_factor(plan, step / 100, step) for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[10] == factors[74] == 1.0
    assert factors[-1] == 0.0
    assert factors[87] == pytest.approx(0.52)


def test_checkpoints_come_back_whole_and_only_the_newest_two_are_kept(tmp_path: Path):
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, step, {"a": torch.full((2,), float(step))}, {"seconds": step})
    (tmp_path / "partial-00000004").mkdir()  # as a kill in the middle of writing leaves it
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert found.tensors["a"].tolist() == [3.0, 3.0]
    assert found.counters == {"step": 3, "seconds": 3}
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == ["checkpoint-00000002", "checkpoint-00000003"]


def test_the_average_of_weights_follows_its_formula():
    module = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(module.weight, 0.0)
    weights = dict(module.named_parameters())
    average = MovingAverage(weights, decay=0.5)
    torch.nn.init.constant_(module.weight, 1.0)
    average.update(weights)  # decay (1 + 1) / (10 + 1) while it is the smaller
    assert average.shadow["weight"].item() == pytest.approx(1 - 2 / 11)
