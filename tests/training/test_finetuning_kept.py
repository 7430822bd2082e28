# pyright: basic, reportPrivateImportUsage=false, reportCallIssue=false
"""What has nothing to do with the brand stays as it was: the model's own pictures beside the brand's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from designkit.starter.captions import unknown_words
from designkit.training.finetuning.finetune import finetune
from designkit.training.finetuning.recipe import finetune_preset, starter_prompts
from designkit.training.finetuning.task import FinetuneTask
from tests.generators import tiny_pipelines
from tests.training.brand_pictures import write_pictures
from tests.training.tiny_finetunings import recipe_for


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory):
    """A task that was begun with two prompts to keep, before it learned anything."""
    root = tmp_path_factory.mktemp("kept")
    model = tiny_pipelines.save("StableDiffusionPipeline", root / "model")
    pictures = write_pictures(root / "pictures")
    recipe = recipe_for(model, pictures, "data.keep=[a red apple, two cats]", "data.caption_dropout=0")
    tasks: list[FinetuneTask] = []
    first = FinetuneTask.__init__

    def remember(self, *arguments, **named):
        first(self, *arguments, **named)
        tasks.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FinetuneTask, "__init__", remember)
        steps = finetune(recipe, root / "out")
        next(steps)  # one step, so that everything is set up
        steps.close()
    return tasks[0], root / "out"


def rows(task: FinetuneTask, *, is_own: bool) -> dict[str, Any]:
    examples = [example for example in task.brand.training if example.is_own == is_own][:2]
    size = examples[0].size
    examples = [example for example in examples if example.size == size]
    rng = torch.Generator().manual_seed(5)
    times = task.noising.draw(torch.linspace(0.2, 0.8, len(examples)))
    return task._rows(examples, [example.caption for example in examples], times, rng)


def test_each_prompt_is_drawn_once_and_learned_from_as_often_as_the_brands_pictures(kept):
    task, out = kept
    own = [example for example in task.brand.training if example.is_own]
    assert {example.caption for example in own} == {"a red apple", "two cats"}
    assert len(own) * 2 == len(task.brand.training)
    assert len(list((out / "prior").glob("*/*.png"))) == 2
    assert not any(example.is_own for example in task.brand.held_out)
    assert "a red apple" not in {request.prompt for request in task.previews.requests}


def test_what_is_to_be_predicted_of_own_pictures_is_what_the_model_predicts_without_the_adapter(kept):
    task, _ = kept
    weights = task.learning.weights
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    own, brand = rows(task, is_own=True), rows(task, is_own=False)
    noise = own["noise"].clone()
    with torch.no_grad():
        for name, weight in weights.items():
            if "lora_B" in name:
                weight.zero_()  # an adapter that changes nothing
        errors, _ = task._errors(own)
        torch.testing.assert_close(errors, torch.zeros_like(errors), rtol=0, atol=1e-10)
        base = task.guess(own)
        assert float(task._errors(brand)[0].min()) > 0.01
        for name, weight in weights.items():
            if "lora_B" in name:
                weight.fill_(0.05)
        errors, _ = task._errors(own)
        expected = (task.guess(own) - base).square().mean(dim=(1, 2, 3))
        assert float(expected.min()) > 1e-6
        torch.testing.assert_close(errors, expected)
        for name, weight in weights.items():
            weight.copy_(before[name])
    assert torch.equal(own["noise"], noise)
    assert all(weight.requires_grad for weight in weights.values())


def test_own_rows_count_with_the_prior_weight_and_teach_the_adapter(kept):
    task, _ = kept
    own = rows(task, is_own=True)
    own["weights"] = torch.full_like(own["weights"], 0.25)
    with torch.no_grad():
        for name, weight in task.learning.weights.items():
            if "lora_B" in name:
                weight.fill_(0.05)
    loss, _ = task.loss(own)
    loss.backward()
    weights = task.noising.weights(own["times"])
    torch.testing.assert_close(loss.detach(), (0.25 * weights * task._errors(own)[0].detach()).mean())
    assert all(weight.grad is not None and bool(weight.grad.any()) for weight in task.learning.weights.values())
    task.module.zero_grad(set_to_none=True)


def test_the_starter_keeps_prompts_of_its_own_words_and_other_models_none():
    prompts = starter_prompts()
    assert len(set(prompts)) == len(prompts) == 64
    assert prompts == starter_prompts()
    assert [word for prompt in prompts for word in unknown_words(prompt)] == []
    preset = {"num_parameters": 10**7, "method": "lora", "name": "lumen"}
    assert finetune_preset("pictures", 12, model="starter", **preset).data.keep == prompts
    assert finetune_preset(str(Path("pictures")), 12, model="models/other", **preset).data.keep == ()
