# pyright: basic, reportPrivateImportUsage=false
"""The table of families against the signatures of diffusers' own classes."""

from __future__ import annotations

import inspect
from importlib.util import find_spec

import diffusers
import pytest

from designkit.generators.families import FAMILIES


@pytest.mark.parametrize("pipeline_class", FAMILIES)
def test_each_row_agrees_with_the_pipelines_signature(pipeline_class):
    family, pipeline = FAMILIES[pipeline_class], getattr(diffusers, pipeline_class)
    if not issubclass(pipeline, diffusers.DiffusionPipeline):
        assert [name for name in family.needs if find_spec(name) is None], "a stand-in, but nothing is missing"
        pytest.skip(f"needs {', '.join(family.needs)}")
    parameters = inspect.signature(pipeline.__call__).parameters
    assert {"prompt", "generator", "output_type", "height", "width"} <= parameters.keys()
    assert family.takes_negative == ("negative_prompt" in parameters)
    assert family.takes_adapters == hasattr(pipeline, "load_lora_weights")
    assert {*family.always, *family.with_negative} <= parameters.keys()
    assert "num_inference_steps" in parameters
    if family.weighs_words:
        assert "prompt_embeds" in parameters
        assert ("negative_prompt_embeds" in parameters) == family.takes_negative
    guidance = [name for name in ("guidance_scale", "true_cfg_scale") if name in parameters]
    assert family.guidance_argument in (guidance or [None])
    # What the table does not switch off, the signature does not have.
    assert {"clean_caption", "use_resolution_binning"} & parameters.keys() == {
        name for name in family.always if name in ("clean_caption", "use_resolution_binning")
    }


def test_every_name_of_a_family_is_its_own():
    names = [family.name for family in FAMILIES.values()]
    assert len(set(names)) == len(names)
