"""The training loop: its schedule, phases, checkpoints and faults, and that stopping changes nothing."""

# pyright: basic, reportArgumentType=false, reportIndexIssue=false
import csv
import os
import signal
from pathlib import Path

import pytest
import torch
from PIL import Image

from designkit.errors import InputRefused, ModelRefused, RunInUse, TrainingStopped
from designkit.models.checkpoint import load_checkpoint, save_checkpoint
from designkit.training.ema import MovingAverage
from designkit.training.loop import Look, rate_factor, train
from designkit.training.parts import rows_of
from tests.training.killing import kill_and_resume
from tests.training.tasks import STEPS, GameTask, LineTask, same, schedule, weights


def read_log(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "log.csv").read_text().splitlines()))


def test_training_lowers_the_loss_and_reports_every_step(tmp_path: Path):
    reports = list(train(LineTask(), schedule(steps=60, checkpoint_minutes=5), tmp_path))
    assert [report.step for report in reports] == list(range(1, 61))
    assert reports[-1].loss < 0.2 * reports[0].loss
    assert [reports[0].progress, reports[-1].progress] == [1 / 60, 1.0]


@pytest.mark.parametrize("stop_after", [1, 5, 11])
@pytest.mark.parametrize("checkpoint_minutes", [1e-9, 60])
def test_stopped_and_resumed_training_ends_in_the_same_bytes_as_training_never_stopped(
    tmp_path: Path, stop_after: int, checkpoint_minutes: float
):
    plan = schedule(checkpoint_minutes=checkpoint_minutes, batch_size=6, micro_batch=4)
    whole, parts, resumed = GameTask(), GameTask(), GameTask()
    list(train(whole, plan, tmp_path / "whole"))
    for report in train(parts, plan, tmp_path / "parts"):
        if report.step == stop_after:
            break
    rest = list(train(resumed, plan, tmp_path / "parts"))
    assert rest[0].step == stop_after + 1
    assert same(weights(resumed.module), weights(whole.module))


def test_a_stop_between_the_parts_of_a_batch_loses_that_step_and_nothing_else(tmp_path: Path):
    plan = schedule(batch_size=6, micro_batch=2)
    whole = GameTask()
    list(train(whole, plan, tmp_path / "whole"))

    class Stopping(GameTask):
        def draw(self, batch):  # in the second part of the third phase of the sixth step
            if batch["names"][0] == "5/2":
                raise KeyboardInterrupt
            return super().draw(batch)

    with pytest.raises(KeyboardInterrupt):
        list(train(Stopping(), plan, tmp_path / "parts"))
    resumed = GameTask()
    assert next(iter(train(resumed, plan, tmp_path / "parts"))).step == 6
    list(train(resumed, plan, tmp_path / "parts"))
    assert same(weights(resumed.module), weights(whole.module))


def test_a_finished_run_trains_no_further_and_gives_its_weights_back(tmp_path: Path):
    first, second = GameTask(), GameTask()
    list(train(first, schedule(), tmp_path))
    assert list(train(second, schedule(), tmp_path)) == []
    assert same(weights(first.module), weights(second.module))


def test_every_phase_trains_its_own_weights_and_only_some_are_averaged(tmp_path: Path):
    task = GameTask()
    before = weights(task.module)
    reports = list(train(task, schedule(checkpoint_minutes=5), tmp_path))
    assert list(reports[0].losses) == ["discriminator", "generator"]
    after = weights(task.module)
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("frozen"))
    assert task.module.calls == 2 * STEPS
    saved = load_checkpoint(tmp_path)
    assert saved is not None
    delivered = {name: tensor for name, tensor in after.items() if name.startswith(("generator", "discriminator"))}
    for name, tensor in delivered.items():
        kind = "average" if name.startswith("generator") and "running" not in name else "weights"
        kind = "weights" if "num_batches" in name else kind
        assert torch.equal(saved.tensors.get(f"{kind}.{name}", saved.tensors[f"weights.{name}"]), tensor), name
    assert not any(name.startswith("weights.frozen") for name in saved.tensors)
    assert not torch.equal(saved.tensors["weights.generator.0.weight"], saved.tensors["average.generator.0.weight"])


def test_parts_of_a_batch_give_the_gradients_of_the_whole(tmp_path: Path):
    plan = schedule(batch_size=6, checkpoint_minutes=5)
    whole, parts = GameTask(has_batch_statistics=False), GameTask(has_batch_statistics=False)
    expected = list(train(whole, plan, tmp_path / "whole"))
    found = list(train(parts, plan.model_copy(update={"micro_batch": 4}), tmp_path / "parts"))
    assert set(parts.rows_seen) == {4, 2}
    assert [report.loss for report in found] == pytest.approx([report.loss for report in expected], rel=1e-4)
    for name, tensor in whole.module.state_dict().items():
        assert torch.allclose(tensor, parts.module.state_dict()[name], atol=1e-4) or name == "calls"


def test_rows_are_taken_of_what_has_rows_and_nothing_else():
    batch = {"a": torch.arange(6), "b": {"c": list("abcdef"), "d": "abcdef"}, "e": torch.zeros(()), "f": 6, "g": (1, 2)}
    part = rows_of(batch, 2, 4, 6)
    assert part["a"].tolist() == [2, 3]
    assert part["b"] == {"c": ["c", "d"], "d": "abcdef"}
    assert (part["e"].tolist(), part["f"], part["g"]) == (0.0, 6, (1, 2))


def test_where_memory_runs_out_parts_are_halved_at_the_same_effective_batch(tmp_path: Path):
    plan = schedule(batch_size=8, checkpoint_minutes=5)
    free = GameTask(has_batch_statistics=False)
    tight = GameTask(has_batch_statistics=False, runs_out_above=3)
    expected = list(train(free, plan, tmp_path / "free"))
    found = list(train(tight, plan, tmp_path / "tight"))
    assert tight.rows_seen[:5] == [8, 4, 2, 2, 2]
    assert set(tight.rows_seen[5:]) == {2}
    assert [len(report.notes) for report in found[:2]] == [2, 0]
    assert "2 of 8 rows" in found[0].notes[1]
    assert [report.loss for report in found] == pytest.approx([report.loss for report in expected], rel=1e-4)
    with pytest.raises(TrainingStopped, match="one row"):
        list(train(GameTask(runs_out_above=0), plan, tmp_path / "none"))


def test_a_step_whose_loss_is_no_number_is_skipped_and_survived(tmp_path: Path):
    class OnceBad(LineTask):
        def loss(self, batch):
            loss, metrics = super().loss(batch)
            return loss * (float("inf") if batch["step"] == 6 else 1), metrics

    reports = list(train(OnceBad(), schedule(steps=40, checkpoint_minutes=5), tmp_path))
    assert ["skipped" in note for report in reports for note in report.notes] == [True]
    assert "skipped" in reports[6].notes[0]
    assert reports[-1].loss < 0.5 * reports[0].loss


def test_weights_that_are_no_numbers_are_rolled_back_once_at_half_the_rate(tmp_path: Path):
    task = GameTask()
    plan = schedule(steps=30, learning_rate=0.01, warmup_steps=0, cooldown=0)
    steps = train(task, plan, tmp_path)
    reports = []
    for report in steps:
        reports.append(report)
        if len(reports) == 9:
            with torch.no_grad():
                task.module.generator[0].weight[0, 0] = float("nan")
    (note,) = [note for report in reports for note in report.notes]
    assert "back to step 9, learning rate times 0.5 (1 of 4)" in note
    assert [report.step for report in reports] == [*range(1, 10), 9, *range(10, 31)]
    assert [reports[8].learning_rate, reports[-1].learning_rate] == [0.01, 0.005]
    assert all(bool(tensor.isfinite().all()) for tensor in task.module.state_dict().values())
    rows = read_log(tmp_path)
    assert [row["step"] for row in rows if row["note"]] == ["9"]


def test_a_loss_that_stays_no_number_ends_training_and_leaves_good_weights_behind(tmp_path: Path):
    reports = []
    with pytest.raises(TrainingStopped, match="after 4 rollbacks"):
        reports.extend(train(LineTask(nan_from=6), schedule(), tmp_path))
    saved = load_checkpoint(tmp_path)
    assert saved is not None
    assert saved.counters["step"] == 6
    assert all(bool(tensor.isfinite().all()) for tensor in saved.tensors.values())


def test_the_learning_rate_warms_up_stays_and_falls_to_nothing():
    plan = schedule(steps=100, warmup_steps=10, cooldown=0.25)
    factors = [rate_factor(plan, step / 100, step) for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[10] == factors[74] == 1.0
    assert factors[-1] == 0.0
    assert factors[87] == pytest.approx(0.52)


def test_previews_show_the_averaged_weights_at_fixed_steps_and_change_nothing(tmp_path: Path):
    class Blind(GameTask):
        def look(self) -> Look | None:
            return None

    seen, blind = GameTask(), Blind()
    plan = schedule(steps=20, checkpoint_minutes=5)
    reports = list(train(seen, plan, tmp_path / "seen"))
    list(train(blind, plan, tmp_path / "blind"))
    assert same(weights(seen.module), weights(blind.module))
    steps = [0, *range(2, 21, 2)]
    assert [step for report in reports for step, _ in report.looks] == steps
    previews = sorted((tmp_path / "seen" / "previews").iterdir())
    assert [path.name for path in previews] == [f"step-{step:08d}.png" for step in steps]
    # The last one was drawn with the weights that were delivered.
    level = int(list(seen.module.generator.parameters())[-1].sigmoid().mean() * 255)
    assert Image.open(previews[-1]).getpixel((0, 0)) == (level, 0, 0)


def test_the_log_has_one_row_a_step_however_often_training_was_stopped(tmp_path: Path):
    plan = schedule(checkpoint_minutes=60)
    for stop_after in (3, 7):
        for report in train(GameTask(), plan, tmp_path):
            if report.step == stop_after:
                break
    list(train(GameTask(), plan, tmp_path))
    rows = read_log(tmp_path)
    assert [int(row["step"]) for row in rows] == list(range(1, STEPS + 1))
    assert list(rows[0])[-1] == "note"
    assert {"discriminator loss", "generator loss", "real logit", "look level"} < rows[0].keys()
    curves = Image.open(tmp_path / "curves.png")
    assert curves.width > 1000
    assert len(curves.convert("RGB").getcolors(1_000_000) or ()) > 10


def test_tensorboard_events_are_written_where_wanted(tmp_path: Path):
    pytest.importorskip("tensorboard")
    list(train(GameTask(), schedule(checkpoint_minutes=5, tensorboard=True), tmp_path))
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert b"generator/loss" in events.read_bytes()


def test_two_trainings_into_one_folder_are_refused(tmp_path: Path):
    first = train(LineTask(), schedule(), tmp_path)
    next(first)
    with pytest.raises(RunInUse):
        next(train(LineTask(), schedule(), tmp_path))
    first.close()
    assert next(train(LineTask(), schedule(), tmp_path)).step == 2


def test_a_checkpoint_of_another_model_is_refused_by_name_and_shape(tmp_path: Path):
    list(train(LineTask(), schedule(), tmp_path))
    other = LineTask()
    other.module = torch.nn.Linear(5, 1)
    with pytest.raises(ModelRefused, match=r"weights.weight is \[1, 3\], not \[1, 5\]"):
        next(train(other, schedule(), tmp_path))


def test_checkpoints_come_back_whole_and_only_the_newest_two_are_kept(tmp_path: Path):
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, step, {"a": torch.full((2,), float(step))}, {"seconds": step})
    (tmp_path / "partial-00000004").mkdir()  # as a kill in the middle of writing leaves it
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert found.tensors["a"].tolist() == [3.0, 3.0]
    assert found.counters == {"step": 3, "seconds": 3}
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == ["checkpoint-00000002", "checkpoint-00000003"]
    again = save_checkpoint(tmp_path, 3, {"a": torch.zeros(2)}, {})
    assert again.name == "checkpoint-00000003-1"  # never in the place of one that is good
    assert not list(tmp_path.glob("partial-*"))


@pytest.mark.parametrize("fault", ["flipped bit", "cut off", "zeroed tail", "no counters"])
def test_a_damaged_checkpoint_is_passed_over_with_a_word(tmp_path: Path, fault: str):
    for step in (1, 2):
        save_checkpoint(tmp_path, step, {"a": torch.full((64,), float(step))}, {})
    state = tmp_path / "checkpoint-00000002" / "state.safetensors"
    data = bytearray(state.read_bytes())
    if fault == "flipped bit":
        data[-9] ^= 1
    elif fault == "zeroed tail":
        data[-100:] = bytes(100)
    state.write_bytes(data[:-50] if fault == "cut off" else data)
    if fault == "no counters":
        (tmp_path / "checkpoint-00000002" / "state.json").unlink()
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert (found.counters, len(found.notes)) == ({"step": 1}, 1)
    (tmp_path / "checkpoint-00000001" / "state.safetensors").unlink()
    with pytest.raises(ModelRefused, match="damaged"):
        load_checkpoint(tmp_path)


def test_a_batch_that_processes_cannot_share_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from accelerate import Accelerator

    monkeypatch.setattr(Accelerator, "num_processes", 3)
    with pytest.raises(InputRefused, match="4 cannot be shared by 3"):
        next(train(LineTask(), schedule(), tmp_path))


def test_kills_while_checkpoints_are_written_leave_a_whole_one_and_the_same_end(tmp_path: Path):
    tally = kill_and_resume(tmp_path, num_kills=4, seed=1)
    assert tally.faults == []
    assert tally.num_kills == 4
    assert tally.num_while_writing >= 1


def test_the_average_of_weights_follows_its_formula():
    module = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(module.weight, 0.0)
    weights = dict(module.named_parameters())
    average = MovingAverage(weights, decay=0.5)
    torch.nn.init.constant_(module.weight, 1.0)
    average.update(weights)  # decay (1 + 1) / (10 + 1) while it is the smaller
    assert average.shadow["weight"].item() == pytest.approx(1 - 2 / 11)


def test_a_held_signal_is_remembered_and_raised_afterwards():
    from designkit.cli import stopping

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        stopping.stop_on_signals()
        with stopping.hold_signals() as is_stopping:
            assert not is_stopping()
            os.kill(os.getpid(), signal.SIGTERM)
            assert is_stopping()
        with pytest.raises(stopping.Stopped) as stopped:
            stopping.check_stopped()
        assert stopped.value.exit_code == 143
    finally:
        stopping._requested.clear()
        for number, handler in before.items():
            signal.signal(number, handler)
