# pyright: basic, reportPrivateImportUsage=false
"""LoRA adapters: laid over the model for the requests that ask for them, and gone without a trace."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model_state_dict

from designkit.errors import ModelRefused
from designkit.generators.adapters import FILE_NAME, adapter_file
from designkit.values import Adapter
from tests.generators import tiny_pipelines
from tests.generators.requests import ask, open_tiny, pixels


def save_adapter(folder, *, seed, pipeline_class="StableDiffusionPipeline", part="unet"):
    """Write a random LoRA for the tiny pipeline of this class, as diffusers' training scripts do."""
    pipeline = tiny_pipelines.BUILDERS[pipeline_class]()
    torch.manual_seed(seed)
    model = getattr(pipeline, part)
    model.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    pipeline.save_lora_weights(folder, **{f"{part}_lora_layers": get_peft_model_state_dict(model)})
    return folder


@pytest.fixture(scope="module")
def teal(tmp_path_factory):
    return save_adapter(tmp_path_factory.mktemp("teal"), seed=1)


@pytest.fixture(scope="module")
def coral(tmp_path_factory):
    return save_adapter(tmp_path_factory.mktemp("coral"), seed=2) / FILE_NAME


@pytest.fixture
def generator(tiny_model):
    return open_tiny(tiny_model("StableDiffusionPipeline"))


def test_an_adapter_changes_the_picture_by_its_weight(generator, teal, coral):
    without, none = pixels(generator, [ask(0)]), ask(0, adapters=(Adapter(path=str(teal), weight=0.0),))
    assert pixels(generator, [none]) == without
    drawn = [
        pixels(generator, [ask(0, adapters=adapters)])["image-0"]
        for adapters in (
            (Adapter(path=str(teal)),),
            (Adapter(path=str(teal), weight=0.5),),
            (Adapter(path=str(coral)),),
            (Adapter(path=str(teal)), Adapter(path=str(coral), weight=0.5)),
        )
    ]
    assert len({without["image-0"], *drawn}) == 5


def test_removing_an_adapter_restores_the_model_bit_for_bit(generator, teal):
    pipeline = generator._pipelines[0]
    before = {name: value.clone() for name, value in pipeline.unet.state_dict().items()}
    expected = pixels(generator, [ask(0)])
    mixed = [ask(0), ask(1, adapters=(Adapter(path=str(teal)),)), ask(2)]
    pixels(generator, mixed)
    after = pipeline.unet.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert pixels(generator, [ask(0)]) == expected


def test_an_adapter_is_removed_when_the_caller_stops_early(generator, teal):
    expected = pixels(generator, [ask(0)])
    images = generator.generate([ask(seed, adapters=(Adapter(path=str(teal)),)) for seed in range(9)])
    next(images)
    images.close()
    assert pixels(generator, [ask(0)]) == expected


def test_flow_transformers_take_adapters_too(tiny_model, tmp_path):
    folder = save_adapter(tmp_path, seed=1, pipeline_class="FluxPipeline", part="transformer")
    generator = open_tiny(tiny_model("FluxPipeline"))
    without = pixels(generator, [ask(0)])
    assert pixels(generator, [ask(0, adapters=(Adapter(path=str(folder)),))]) != without
    assert pixels(generator, [ask(0)]) == without


def test_an_adapter_of_another_model_fails_its_own_requests_only(generator, tmp_path):
    folder = save_adapter(tmp_path, seed=1, pipeline_class="StableDiffusionXLPipeline")
    wrong = Adapter(path=str(folder))
    expected = pixels(generator, [ask(0)])
    images = {image.request.id: image for image in generator.generate([ask(1, adapters=(wrong,)), ask(0)])}
    assert images["image-0"].image.tobytes() == expected["image-0"]
    assert "this adapter does not fit" in images["image-1"].failure


def test_missing_and_unsafe_adapters_are_all_refused_before_drawing(generator, tmp_path):
    pickle = tmp_path / "style.pt"
    pickle.write_bytes(b"anything")
    adapters = (Adapter(path=str(tmp_path / "nowhere.safetensors")), Adapter(path=str(pickle)))
    with pytest.raises(ModelRefused) as refusal:
        next(generator.generate([ask(0, adapters=adapters)]))
    assert [problem.code for problem in refusal.value.problems] == ["adapter-missing", "model-pickle"]
    assert refusal.value.exit_code == 7


def test_a_whole_model_is_no_adapter(tiny_model):
    weights = tiny_model("StableDiffusionPipeline") / "unet" / "diffusion_pytorch_model.safetensors"
    with pytest.raises(ModelRefused, match="none of its tensors belongs to a LoRA"):
        adapter_file(Adapter(path=str(weights)))


def test_a_folder_stands_for_the_one_adapter_in_it(teal):
    assert adapter_file(Adapter(path=str(teal))) == teal / FILE_NAME
