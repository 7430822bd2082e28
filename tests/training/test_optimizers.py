# pyright: basic
"""Optimizers that a schedule may name: stopped and resumed is as if never stopped, whatever they keep."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest
import torch
from torch import nn

from designkit.errors import InputRefused
from designkit.training import optimizers
from designkit.training.data import survey
from designkit.training.finetuning.begin import open_recipe
from designkit.training.learner import Learner
from designkit.training.loop import train
from designkit.training.optimizers import averaged, build_optimizer, load_state, state_numbers, state_tensors
from tests.training.brand_pictures import write_pictures
from tests.training.tasks import GameTask, LineTask, same, schedule, weights

PACKAGES = {"adamw": "torch", "adamw-8bit": "bitsandbytes", "prodigy": "prodigyopt", "schedule-free": "schedulefree"}
INSTALLED = [
    pytest.param(name, marks=pytest.mark.skipif(find_spec(package) is None, reason=f"needs {package}"))
    for name, package in PACKAGES.items()
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", INSTALLED)
def test_stopped_and_resumed_gives_the_same_weights(name, tmp_path):
    plan = schedule(optimizer=name, learning_rate=1.0 if name == "prodigy" else 0.05, micro_batch=2)
    whole, stopped, resumed = (WideGame(has_momentum=name == "schedule-free") for _ in range(3))
    reports = [report.loss for report in train(whole, plan, tmp_path / "whole")]
    steps = train(stopped, plan, tmp_path / "stopped")
    for _ in range(5):
        next(steps)
    steps.close()
    assert [report.loss for report in train(resumed, plan, tmp_path / "stopped")] == reports[5:]
    assert same(weights(resumed.module), weights(whole.module))


class WideGame(GameTask):
    """With a matrix large enough that eight bits are used for its moments."""

    def __init__(self, *, has_momentum: bool) -> None:
        super().__init__()
        self.has_momentum = has_momentum
        self.module.generator = nn.Sequential(nn.Linear(4, 2048), nn.Tanh(), nn.Linear(2048, 2))

    def phases(self, schedule):
        phases = super().phases(schedule)
        for group in phases[-1].groups if self.has_momentum else ():
            group["betas"] = (0.9, 0.9)
        return phases


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", INSTALLED)
def test_state_goes_through_tensors_and_json_unchanged(name):
    torch.manual_seed(0)
    plan = schedule(optimizer=name)

    def stepped(weight: nn.Parameter, count: int, kept=None) -> torch.optim.Optimizer:
        optimizer = build_optimizer([{"params": [weight], "lr": plan.learning_rate}], plan)
        if kept is not None:
            load_state(optimizer, *kept)
        for step in range(count):
            weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(step + (kept is not None)))
            optimizer.step()
        return optimizer

    weight = nn.Parameter(torch.randn(96, 64))
    optimizer = stepped(weight, 1)
    kept = state_tensors(optimizer), json.loads(json.dumps(state_numbers(optimizer)))
    again = nn.Parameter(weight.detach().clone())
    kept = {key: tensor.clone() for key, tensor in kept[0].items()}, kept[1]
    other = stepped(again, 1, kept)
    weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    optimizer.step()
    assert torch.equal(weight, again)
    assert state_tensors(other).keys() == state_tensors(optimizer).keys()
    assert state_numbers(other) == state_numbers(optimizer)


@pytest.mark.skipif(find_spec("schedulefree") is None, reason="needs schedulefree")
def test_schedule_free_delivers_its_average_as_the_package_does(tmp_path):
    task, plan = LineTask(), schedule(optimizer="schedule-free", cooldown=0, ema_decay=0)
    learners = []
    build = Learner.__init__

    def watched(self, *arguments):
        build(self, *arguments)
        learners.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "__init__", watched)
        list(train(task, plan, tmp_path))
    (learner,) = learners
    learner.restore(tmp_path)
    optimizer = learner.optimizers["model"]
    meant = [averaged(optimizer)[id(weight)] for weight in learner.parameters.values()]
    delivered = list(learner.average.shadow.values())
    optimizer.eval()
    for ours, kept, theirs in zip(meant, delivered, learner.parameters.values(), strict=True):
        torch.testing.assert_close(ours, theirs.detach())
        assert torch.equal(ours, kept)


def test_an_optimizer_whose_package_is_missing_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(optimizers, "find_spec", lambda name: None)
    with pytest.raises(InputRefused, match="pip install prodigyopt"):
        build_optimizer([], schedule(optimizer="prodigy"))


def test_a_fine_tuning_brings_what_its_optimizer_needs(tmp_path):
    folder = write_pictures(tmp_path / "pictures")
    found = survey(folder)

    def training(*overrides: str):
        return open_recipe(folder, found, tmp_path / "out", model=None, method="lora", overrides=overrides).training

    assert training("training.optimizer=prodigy").learning_rate == 1.0
    assert training("training.optimizer=prodigy", "training.learning_rate=0.5").learning_rate == 0.5
    plan = training("training.optimizer=schedule-free")
    assert (plan.cooldown, plan.ema_decay) == (0.0, 0.0)
    assert training().learning_rate < 0.01
