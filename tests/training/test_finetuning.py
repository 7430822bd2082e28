# pyright: basic, reportPrivateImportUsage=false, reportCallIssue=false
"""Fine-tuning tiny pipelines: what is learned is what diffusers loads, at one strength, in every layout."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import torch
from diffusers import DDPMScheduler
from safetensors.torch import load_file, save_file

from designkit.errors import InputRefused, ModelRefused, TrainingStopped
from designkit.generators.adapter_formats import LAYOUTS, AdapterWeights, read_adapter, write_adapter
from designkit.generators.catalog import find_card
from designkit.generators.loading import load_pipeline
from designkit.models.checkpoint import load_checkpoint
from designkit.training.data import survey
from designkit.training.finetuning.families import find_tuned_family
from designkit.training.finetuning.finetune import finetune
from designkit.training.finetuning.kept import Kept
from designkit.training.finetuning.noising import NOISIEST_SHARE, DiscreteNoising, FlowNoising
from designkit.training.finetuning.pictures import BucketOrder, choose_examples, free_size
from designkit.training.finetuning.recipe import FinetuneData
from designkit.training.finetuning.task import FinetuneTask
from designkit.values import Adapter, Size
from tests.generators.requests import ask, open_tiny, pixels
from tests.training.brand_pictures import SIZES, write_pictures
from tests.training.tiny_finetunings import denoise, learn, recipe_for, run

FAMILIES = ["StableDiffusionPipeline", "StableDiffusionXLPipeline"]


@pytest.mark.parametrize("pipeline_class", FAMILIES)
def test_what_was_learned_draws_alike_in_every_layout_loaded_by_diffusers(models, pictures, tmp_path, pipeline_class):
    from diffusers import DiffusionPipeline

    out = run(recipe_for(models(pipeline_class), pictures, "text_encoder=true"), tmp_path / "out")
    adapter = read_adapter(out)
    assert any(name.startswith("text_encoder.") for name in adapter.tensors)
    assert any(bool(tensor.any()) for name, tensor in adapter.tensors.items() if name.endswith("lora_B.weight"))
    drawn = {}
    for layout in ("none", "diffusers", "kohya", "comfyui"):
        pipeline = DiffusionPipeline.from_pretrained(models(pipeline_class))
        if layout != "none":
            write_adapter(tmp_path / f"{layout}.safetensors", adapter, layout)
            pipeline.load_lora_weights(str(tmp_path), weight_name=f"{layout}.safetensors")
        drawn[layout] = denoise(pipeline)
    assert (drawn["diffusers"] - drawn["none"]).abs().max() > 1e-3
    for layout in ("kohya", "comfyui"):
        torch.testing.assert_close(drawn[layout], drawn["diffusers"], rtol=0, atol=1e-5)
        again = read_adapter(tmp_path / f"{layout}.safetensors")
        plain = [{name.replace(".text_model", "") for name in each.tensors} for each in (again, adapter)]
        assert plain[0] == plain[1]


@pytest.mark.parametrize(
    "pipeline_class",
    ["StableDiffusion3Pipeline", "FluxPipeline", "Flux2KleinPipeline", "QwenImagePipeline", "ZImagePipeline"],
)
def test_flow_transformers_learn_what_diffusers_then_draws(models, pictures, tmp_path, pipeline_class):
    model = models(pipeline_class)
    recipe = recipe_for(model, pictures, "training.steps=3", "rank=2", "data.held_out=0")
    learned = denoise(learn(recipe, tmp_path / "out").pipeline)
    for layout in LAYOUTS if pipeline_class == "Flux2KleinPipeline" else LAYOUTS[::2]:
        write_adapter(tmp_path / "adapter.safetensors", read_adapter(tmp_path / "out"), layout)
        pipeline = load_pipeline(find_card(str(model)), torch.float32)
        pipeline.load_lora_weights(str(tmp_path), weight_name="adapter.safetensors")
        torch.testing.assert_close(denoise(pipeline), learned, rtol=0, atol=1e-5)
        again = read_adapter(tmp_path / "adapter.safetensors").tensors
        assert again.keys() == read_adapter(tmp_path / "out").tensors.keys()
    request = ask(0, steps=1)
    generator = open_tiny(model)
    before = pixels(generator, [request])
    with_adapter = ask(0, steps=1, adapters=(Adapter(path=str(tmp_path / "out")),))
    assert pixels(generator, [with_adapter]) != before


@pytest.mark.parametrize(
    "pipeline_class", ["FluxPipeline", "Flux2KleinPipeline", "QwenImagePipeline", "ZImagePipeline"]
)
def test_the_network_is_called_in_training_as_its_pipeline_calls_it(models, pipeline_class, monkeypatch):
    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(models(pipeline_class))
    pipeline.set_progress_bar_config(disable=True)
    family, seen = find_tuned_family(pipeline_class, model="tiny"), {}
    step = pipeline.scheduler.step

    def watched(prediction, time, latents, **settings):
        share = float(pipeline.scheduler.sigmas[0])
        seen.update(prediction=prediction.clone(), latents=latents.clone(), share=share)
        return step(prediction, time, latents, **settings)

    monkeypatch.setattr(pipeline.scheduler, "step", watched)
    arguments = {"true_cfg_scale": 1.0} if pipeline_class == "QwenImagePipeline" else {"guidance_scale": 1.0}
    if pipeline_class == "ZImagePipeline":
        arguments = {"guidance_scale": 0.0}
    rng = torch.Generator().manual_seed(0)
    pipeline(prompt="zurvi can", width=64, height=96, num_inference_steps=1, generator=rng, **arguments)
    latents, prediction = seen["latents"], seen["prediction"]
    if pipeline_class == "Flux2KleinPipeline":
        latents, prediction = (each.permute(0, 2, 1).reshape(1, -1, 6, 4) for each in (latents, prediction))
    elif latents.dim() == 3:
        latents, prediction = (
            pipeline._unpack_latents(each, 96, 64, 8).reshape(1, -1, 12, 8) for each in (latents, prediction)
        )
    with torch.no_grad():
        text = family.read(pipeline, ["zurvi can"])
        ours = family.predict(pipeline, latents.float(), torch.tensor([seen["share"]]), text, torch.zeros(1, 4))
    torch.testing.assert_close(ours, prediction.float(), rtol=0, atol=1e-5)


def test_the_folder_is_an_adapter_and_goes_without_a_trace(models, pictures, tmp_path):
    model = models("StableDiffusionPipeline")
    out = run(recipe_for(model, pictures), tmp_path / "out")
    assert {path.name for path in out.iterdir()} >= {"adapter.safetensors", "config.json", "README.md", "preview.png"}
    facts = json.loads((out / "config.json").read_text())
    assert (facts["pictures"], facts["rank"], facts["model"]) == (8, 3, str(model))
    generator = open_tiny(model)
    before = pixels(generator, [ask(0)])
    assert pixels(generator, [ask(0, adapters=(Adapter(path=str(out)),))]) != before
    assert pixels(generator, [ask(0)]) == before
    header = read_adapter(out).header
    assert header["modelspec.architecture"] == "stable-diffusion-v1/lora"
    assert not any(word in json.dumps(dict(header)) for word in (str(pictures), "can number", "0.png"))


def test_stopped_and_resumed_in_the_middle_of_a_round_gives_the_same_bytes(models, pictures, tmp_path):
    recipe = recipe_for(models("StableDiffusionPipeline"), pictures, "training.micro_batch=1", "text_encoder=true")
    whole = run(recipe, tmp_path / "whole")
    steps = finetune(recipe, tmp_path / "stopped")
    for _ in range(3):
        next(steps)
    steps.close()
    resumed = run(recipe, tmp_path / "stopped")
    for name in ("adapter.safetensors", "preview.png"):
        assert (resumed / name).read_bytes() == (whole / name).read_bytes()


def test_the_state_with_the_least_held_out_loss_is_kept_not_the_last(models, pictures, tmp_path, monkeypatch):
    losses, states = iter([1.0, 0.8, 0.5, 0.7, 0.9, 0.95]), []

    def held_out_loss(task) -> float:
        states.append(task.learning.tensors())
        return next(losses)

    monkeypatch.setattr(FinetuneTask, "held_out_loss", held_out_loss)
    out = run(recipe_for(models("StableDiffusionPipeline"), pictures, "data.held_out=0.3"), tmp_path / "out")
    facts = json.loads((out / "config.json").read_text())
    assert (facts["best_step"], facts["held_out_loss"], len(states)) == (2, 0.5, 6)
    kept = read_adapter(out).tensors
    assert all(torch.equal(kept[name], tensor) for name, tensor in states[2].items())
    assert any(not torch.equal(kept[name], tensor) for name, tensor in states[-1].items())


def test_where_nothing_learned_beats_the_base_model_the_card_says_so(models, pictures, tmp_path, monkeypatch):
    losses = iter([0.5, 0.9, 1.0])
    monkeypatch.setattr(FinetuneTask, "held_out_loss", lambda task: next(losses))
    recipe = recipe_for(models("StableDiffusionPipeline"), pictures, "data.held_out=0.3", "training.steps=2")
    notes = [note for step in finetune(recipe, tmp_path / "out") for note in step.report.notes]
    assert any("does not carry over" in note for note in notes)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["best_step"] is None
    assert "No state did better than the base model" in (tmp_path / "out" / "README.md").read_text()
    assert any(
        bool(tensor.any()) for name, tensor in read_adapter(tmp_path / "out").tensors.items() if "lora_B" in name
    )


def test_an_adapter_that_does_not_load_again_as_it_was_stops_before_training(models, pictures, tmp_path, monkeypatch):
    from designkit.training.finetuning import layer_updates

    whole = layer_updates.adapter_tensors

    def halved(parts):
        return {name: tensor / 2 if "lora_B" in name else tensor for name, tensor in whole(parts).items()}

    monkeypatch.setattr(layer_updates, "adapter_tensors", halved)
    with pytest.raises(TrainingStopped, match="saved and loaded again differs"):
        run(recipe_for(models("StableDiffusionPipeline"), pictures), tmp_path / "out")
    assert not any((tmp_path / "out").glob("**/checkpoint-*"))


@pytest.mark.parametrize("pipeline_class", ["StableDiffusionPipeline", "FluxPipeline"])
@pytest.mark.parametrize("strength", [1.0, 0.8])
def test_the_rehearsal_tells_a_wrong_strength_from_rounding_over_a_base_in_bf16(
    models, pictures, tmp_path, monkeypatch, pipeline_class, strength
):
    from designkit.training.finetuning import finetune as way
    from designkit.training.finetuning import layer_updates

    whole, load = layer_updates.adapter_tensors, way.load_pipeline

    def weakened(parts):
        return {name: tensor * strength if "lora_B" in name else tensor for name, tensor in whole(parts).items()}

    monkeypatch.setattr(layer_updates, "adapter_tensors", weakened)
    monkeypatch.setattr(way, "load_pipeline", lambda card, dtype, **rest: load(card, torch.bfloat16, **rest))
    steps = finetune(recipe_for(models(pipeline_class), pictures, "training.steps=2"), tmp_path / "out")
    if strength == 1.0:
        assert next(steps).report.step == 1
    else:
        with pytest.raises(TrainingStopped, match="saved and loaded again differs"):
            next(steps)
    steps.close()


def test_prior_pictures_are_learned_from_as_often_as_the_brands_own(models, pictures, tmp_path):
    recipe = recipe_for(
        models("StableDiffusionPipeline"), pictures, "data.class_prompt=a can", "data.num_class_pictures=3",
        "training.steps=2",
    )  # fmt: skip
    out = run(recipe, tmp_path / "out")
    assert len(list((out / "prior").glob("*/*.png"))) == 3
    assert (out / "adapter.safetensors").exists()


def test_every_picture_without_a_caption_is_named_unless_there_is_an_instance_prompt(tmp_path):
    folder = write_pictures(tmp_path / "pictures", captions=False)
    (folder / "3.txt").write_text("zurvi can")
    (folder / "4.txt").write_text("  \n")
    found = survey(folder)
    sizes = {"sizes": [Size(width=64, height=64)], "grid_px": 8, "is_any_size": True}
    with pytest.raises(InputRefused) as refusal:
        choose_examples(found, FinetuneData(folder=str(folder)), **sizes)
    assert [problem.file for problem in refusal.value.problems] == [f"{n}.png" for n in (0, 1, 2, 4, 5, 6, 7)]
    brand = choose_examples(found, FinetuneData(folder=str(folder), instance_prompt="zurvi brand"), **sizes)
    captions = Counter(example.caption for example in (*brand.training, *brand.held_out))
    assert captions == {"zurvi brand": 7, "zurvi can": 1}


def test_no_picture_is_lost_to_its_shape():
    sizes = [Size(width=width, height=height) for width, height in SIZES]
    order = BucketOrder(sizes, seed=4)
    for turn in range(3):
        seen = Counter(row for step in range(8 * turn, 8 * turn + 8) for row in order.rows(step, 3))
        assert seen == dict.fromkeys(range(8), 3)
    for step in range(24):
        assert len({sizes[row] for row in order.rows(step, 3)}) == 1


def test_sizes_are_on_the_grid_near_the_area_and_never_larger_than_the_picture():
    assert free_size(Size(width=3000, height=3000), 1024**2, 8) == Size(width=1024, height=1024)
    assert free_size(Size(width=4000, height=2250), 1024**2, 8) == Size(width=1344, height=768)
    assert free_size(Size(width=300, height=200), 1024**2, 8).width <= 300
    wide = free_size(Size(width=5000, height=500), 512**2, 8)
    assert wide.width / wide.height <= 4.3


def test_weights_of_the_loss_are_those_of_their_papers(models, pictures):
    recipe = recipe_for(models("StableDiffusionPipeline"), pictures)
    times = torch.tensor([0, 300, 700, 999])
    for kind in ("epsilon", "v_prediction"):
        noising = DiscreteNoising(DDPMScheduler(prediction_type=kind), recipe)
        snr = noising.schedule.alphas_cumprod[times] / (1 - noising.schedule.alphas_cumprod[times])
        expected = snr.clamp(max=5) / (snr if kind == "epsilon" else snr + 1)
        torch.testing.assert_close(noising.weights(times), expected, rtol=1e-4, atol=1e-6)
    to_zero = DDPMScheduler(prediction_type="v_prediction", rescale_betas_zero_snr=True)
    noising = DiscreteNoising(to_zero, recipe)
    assert noising.weighting == "flow"
    assert float(noising.weights(torch.tensor([999]))[0]) == pytest.approx(1.0, abs=1e-3)


def test_timesteps_are_uniform_but_where_a_schedule_ends_in_pure_noise(models, pictures):
    recipe = recipe_for(models("StableDiffusionPipeline"), pictures)
    places = (torch.arange(10_000) + 0.5) / 10_000
    usual = DiscreteNoising(DDPMScheduler(), recipe).draw(places)
    assert torch.equal(usual, (places * 1000).long())
    to_zero = DDPMScheduler(prediction_type="v_prediction", rescale_betas_zero_snr=True)
    drawn = DiscreteNoising(to_zero, recipe).draw(places)
    counts = torch.bincount(drawn // 100, minlength=10) / len(drawn)
    expected = torch.full((10,), (1 - NOISIEST_SHARE) / 10)
    expected[9] += NOISIEST_SHARE
    torch.testing.assert_close(counts, expected, atol=2e-3, rtol=0)
    assert int(drawn.max()) == 999


def test_min_snr_is_refused_for_flows(models, pictures):
    from diffusers import FlowMatchEulerDiscreteScheduler

    recipe = recipe_for(models("StableDiffusionPipeline"), pictures, "weighting=min-snr")
    with pytest.raises(ModelRefused, match="learns a flow"):
        FlowNoising(FlowMatchEulerDiscreteScheduler(), recipe)


def test_what_is_kept_is_found_by_content_and_made_anew_where_damaged(tmp_path):
    made = []

    def make(value: float):
        made.append(value)
        return {"x": torch.full((2,), value)}

    kept = Kept(tmp_path, "model-1")
    assert float(kept.get(("text", "a"), lambda: make(1.0))["x"][0]) == 1.0
    assert float(Kept(tmp_path, "model-1").get(("text", "a"), lambda: make(2.0))["x"][0]) == 1.0
    assert float(Kept(tmp_path, "model-2").get(("text", "a"), lambda: make(3.0))["x"][0]) == 3.0
    for file in tmp_path.glob("*.safetensors"):
        file.write_bytes(file.read_bytes()[:20])
    assert float(Kept(tmp_path, "model-1").get(("text", "a"), lambda: make(4.0))["x"][0]) == 4.0
    assert made == [1.0, 3.0, 4.0]


def test_an_alpha_that_is_not_the_rank_is_folded_into_the_weights(tmp_path):
    layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    down, up = torch.randn(4, 8), torch.randn(8, 4)
    file = tmp_path / "foreign.safetensors"
    save_file(
        {f"{layer}.lora_down.weight": down, f"{layer}.lora_up.weight": up, f"{layer}.alpha": torch.tensor(2.0)}, file
    )
    adapter = read_adapter(file)
    name = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    torch.testing.assert_close(adapter.tensors[f"{name}.lora_B.weight"], up * 0.5)
    write_adapter(tmp_path / "again.safetensors", adapter, "kohya")
    again = load_file(tmp_path / "again.safetensors")
    assert float(again[f"{layer}.alpha"]) == 4.0
    torch.testing.assert_close(again[f"{layer}.lora_up.weight"] @ again[f"{layer}.lora_down.weight"], 0.5 * up @ down)


def test_kohya_is_refused_for_transformers_that_its_tools_do_not_train():
    adapter = AdapterWeights(tensors={"transformer.x.lora_A.weight": torch.ones(2, 3)})
    with pytest.raises(ModelRefused, match="train no such transformer"):
        write_adapter(Path("nowhere"), adapter, "kohya")


def test_flux_1_is_read_by_diffusers_from_kohyas_names_as_it_was(tmp_path):
    width = 3072  # diffusers reads no other
    outputs = {
        "transformer_blocks.3.attn.to_q": width, "transformer_blocks.3.attn.to_k": width,
        "transformer_blocks.3.attn.to_v": width, "transformer_blocks.3.ff.net.2": width,
        "transformer_blocks.3.attn.add_v_proj": width, "single_transformer_blocks.7.attn.to_q": width,
        "single_transformer_blocks.7.attn.to_v": width, "single_transformer_blocks.7.proj_mlp": 4 * width,
        "single_transformer_blocks.7.proj_out": width,
    }  # fmt: skip
    tensors = {}
    for layer, count in outputs.items():
        tensors[f"transformer.{layer}.lora_A.weight"] = torch.randn(2, 8)
        tensors[f"transformer.{layer}.lora_B.weight"] = torch.randn(count, 2)
    write_adapter(tmp_path / "kohya.safetensors", AdapterWeights(tensors=tensors), "kohya")
    names = load_file(tmp_path / "kohya.safetensors").keys()
    assert {name.partition(".")[0] for name in names} == {
        "lora_unet_double_blocks_3_img_attn_qkv", "lora_unet_double_blocks_3_txt_attn_qkv",
        "lora_unet_double_blocks_3_img_mlp_2", "lora_unet_single_blocks_7_linear1", "lora_unet_single_blocks_7_linear2",
    }  # fmt: skip
    again = read_adapter(tmp_path / "kohya.safetensors").tensors
    for layer, count in outputs.items():
        pair = [each[f"transformer.{layer}.lora_{side}.weight"] for each in (again, tensors) for side in "BA"]
        torch.testing.assert_close(pair[0] @ pair[1], pair[2] @ pair[3])
        assert pair[0].shape[0] == count
    silent = [again[f"transformer.transformer_blocks.3.attn.add_q_proj.lora_{side}.weight"] for side in "BA"]
    assert not torch.any(silent[0] @ silent[1])


def test_times_of_flows_are_logit_normal_moved_by_the_schedules_shift(models, pictures):
    from diffusers import FlowMatchEulerDiscreteScheduler

    recipe = recipe_for(models("StableDiffusionPipeline"), pictures)
    places = torch.linspace(0.01, 0.99, 99)
    for shift in (1.0, 3.0):
        times = FlowNoising(FlowMatchEulerDiscreteScheduler(shift=shift), recipe).draw(places)
        plain = times / (shift + (1 - shift) * times)  # the shift undone
        torch.testing.assert_close(torch.special.ndtr(torch.logit(plain.double())), places.double(), rtol=0, atol=1e-5)


def test_options_of_training_do_what_they_say(models, pictures, tmp_path):
    model = models("StableDiffusionPipeline")
    common = ("data.held_out=0", "training.steps=4")
    task = learn(recipe_for(model, pictures, *common, "data.caption_dropout=0.5"), tmp_path / "plain")
    silent = task.inputs.text("")["embeds"][0]
    batches = [task.batch(step, 4)["text"]["embeds"] for step in range(50)]
    share = sum(int(torch.equal(row, silent)) for batch in batches for row in batch) / 200
    assert 0.4 < share < 0.6
    checkpointed = recipe_for(model, pictures, *common, "data.caption_dropout=0.5", "gradient_checkpointing=true")
    again = run(checkpointed, tmp_path / "checkpointed")
    for name, tensor in read_adapter(tmp_path / "plain").tensors.items():
        torch.testing.assert_close(read_adapter(again).tensors[name], tensor, rtol=1e-3, atol=1e-5)
    averaged = run(recipe_for(model, pictures, *common, "training.ema_decay=0.9"), tmp_path / "averaged")
    found = load_checkpoint(averaged / "checkpoints")
    assert found is not None
    for name, tensor in read_adapter(averaged).tensors.items():
        kept = name.replace("_A.weight", "_A.brand.weight").replace("_B.weight", "_B.brand.weight")
        assert torch.equal(tensor, found.tensors[f"average.{kept}"])
        assert not torch.equal(tensor, found.tensors[f"weights.{kept}"])
