# pyright: basic
"""Each kind of pipeline, from a prompt file to a run folder by `designkit generate`."""

from __future__ import annotations

import json

import pytest
from PIL import Image
from typer.testing import CliRunner

from designkit.cli.commands import app
from designkit.generators.catalog import find_card
from tests.generators import tiny_pipelines

PROMPTS = """\
prompt: "{product} on plain teal"
negative: "blurry edges"
axes:
  product: [soda can, lemonade bottle]
sizes: [64x64, 96x64]
seeds: 1
model: {steps: 2, guidance: 3}
"""


@pytest.mark.parametrize("pipeline_class", tiny_pipelines.BUILDERS)
def test_each_kind_of_pipeline_fills_a_run_folder(pipeline_class, tiny_model, tmp_path):
    (tmp_path / "drinks.yaml").write_text(PROMPTS)
    model = tiny_model(pipeline_class)
    result = CliRunner().invoke(
        app,
        [
            *("generate", str(tmp_path / "drinks.yaml"), "--model", str(model), "--out", str(tmp_path / "out")),
            *("--precision", "fp32", "--json"),
        ],
    )
    assert result.exit_code == 0, result.output
    (run,) = json.loads(result.stdout)["runs"]
    assert run["failed"] == []
    records = [json.loads(line) for line in (tmp_path / "out" / "drinks" / "manifest.jsonl").read_text().splitlines()]
    assert len(records) == 4
    assert {record["model"]["revision"] for record in records} == {find_card(str(model)).revision}
    assert len({record["pixels_sha256"] for record in records}) == 4
    for record in records:
        with Image.open(tmp_path / "out" / "drinks" / record["file"]) as picture:
            assert picture.size == (record["width"], record["height"])
