# pyright: basic
"""Names to cards: what each model is, told from its files alone, and what happens when there is none."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from designkit.errors import ModelRefused
from designkit.generators import open_generator
from designkit.generators.catalog import SHIPPED, STARTER_FOLDER, find_card, list_cards
from designkit.values import Size
from tests.generators import tiny_pipelines
from tests.generators.requests import SMALL, ask, open_tiny, pixels

REPOSITORY = Path(__file__).parents[2]
FLUX_DEV = "flux-1-dev-non-commercial-license"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def model(tiny_model, tmp_path):
    """A copy of a tiny model that a test may change."""
    return Path(shutil.copytree(tiny_model("StableDiffusionPipeline"), tmp_path / "model"))


@pytest.fixture
def cache(tiny_model, tmp_path, monkeypatch):
    """A Hub cache that holds one model at one commit, which is its `main`."""
    model = tmp_path / "hub" / "models--acme--soda"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(COMMIT)
    shutil.copytree(tiny_model("StableDiffusionPipeline"), model / "snapshots" / COMMIT)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return model


@pytest.mark.parametrize(
    ("pipeline_class", "family", "multiple"),
    [
        ("StableDiffusionPipeline", "stable-diffusion", 8),
        ("StableDiffusionXLPipeline", "stable-diffusion-xl", 8),
        ("StableDiffusion3Pipeline", "stable-diffusion-3", 16),
        ("FluxPipeline", "flux", 16),
        ("PixArtSigmaPipeline", "pixart-sigma", 16),
        ("SanaPipeline", "sana", 4),
        ("Lumina2Pipeline", "lumina-2", 16),
        ("QwenImagePipeline", "qwen-image", 16),
        ("ZImagePipeline", "z-image", 16),
    ],
)
def test_a_folder_tells_what_it_is(pipeline_class, family, multiple, tiny_model):
    folder = tiny_model(pipeline_class)
    card = find_card(str(folder))
    assert (card.pipeline, card.family, card.size_multiple) == (pipeline_class, family, multiple)
    assert (card.licence, card.commercial_use, card.native_sizes) == ("apache-2.0", "yes", (SMALL,))
    assert card.folder == folder
    parts = [
        part for part in tiny_pipelines.BUILDERS[pipeline_class]().components.values() if hasattr(part, "state_dict")
    ]
    tensors = {value.data_ptr(): value for part in parts for value in part.state_dict().values()}  # Shared ones once.
    assert card.num_parameters == sum(value.numel() for value in tensors.values())


def test_the_trained_size_is_read_from_the_models_configuration(model):
    (model / "designkit.json").unlink()
    card = find_card(str(model))
    assert (card.native_sizes, card.default_steps, card.default_guidance) == ((SMALL,), 25, 7.5)
    assert card.accepts == {"negative", "steps", "guidance", "scheduler", "size", "adapters", "word_weights"}


def test_a_models_own_facts_come_first(model):
    facts = {
        "licence": "cc-by-nc-4.0", "native_sizes": ["128x128", "96x160"],
        "notes": ["flat art only"], "defaults": {"steps": 12, "guidance": 3.5},
    }  # fmt: skip
    (model / "designkit.json").write_text(json.dumps(facts))
    card = find_card(str(model))
    assert (card.licence, card.commercial_use) == ("cc-by-nc-4.0", "no")
    assert card.native_sizes == (Size(width=128, height=128), Size(width=96, height=160))
    assert "size" not in card.accepts
    (model / "designkit.json").write_text(json.dumps({**facts, "any_size": True}))
    assert "size" in find_card(str(model)).accepts
    assert (card.default_steps, card.default_guidance, card.notes) == (12, 3.5, ("flat art only",))


@pytest.mark.parametrize(
    "facts",
    ['{"licens": "mit"}', '{"native_sizes": ["64"]}', '{"native_sizes": [3]}', '{"native_sizes": 3}', "[]", "{"],
)
def test_facts_that_cannot_be_read_are_refused(facts, model):
    (model / "designkit.json").write_text(facts)
    with pytest.raises(ModelRefused, match=r"designkit\.json"):
        find_card(str(model))


@pytest.mark.parametrize(
    ("readme", "licence", "commercial"),
    [
        (f"---\nlicense: other\nlicense_name: {FLUX_DEV}\n---\n", FLUX_DEV, "no"),
        ("---\nlicense: apache-2.0\n---\n", "apache-2.0", "yes"),
        ("---\r\nlanguage: en\r\nlicense: 'mit'  # ours\r\n---\r\ntext", "mit", "yes"),
        ("---\nlicense: other\n---\n", "other", "ask"),
        ("# A model\nlicense: mit\n", "unknown", "ask"),
        ("", "unknown", "ask"),
    ],
)
def test_the_licence_is_read_from_the_model_card(readme, licence, commercial, model):
    (model / "README.md").write_text(readme, newline="")
    card = find_card(str(model))
    assert (card.licence, card.commercial_use) == (licence, commercial)


def test_the_revision_changes_with_weights_and_configuration_but_not_with_the_place(model, tiny_model):
    original = find_card(str(tiny_model("StableDiffusionPipeline"))).revision
    assert find_card(str(model)).revision == original
    weights = model / "unet" / "diffusion_pytorch_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    changed = find_card(str(model)).revision
    scheduler = model / "scheduler" / "scheduler_config.json"
    scheduler.write_text(scheduler.read_text().replace("leading", "trailing"))
    assert len({original, changed, find_card(str(model)).revision}) == 3


def test_the_built_in_models_are_listed_the_default_first():
    cards = list_cards()
    assert cards[-1].name == "draft"
    assert [card.name for card in cards[:-1]] == [name for name, folder in SHIPPED.items() if folder.is_dir()]
    assert cards[0].name == "starter" or not STARTER_FOLDER.is_dir()


def test_a_model_that_an_installation_lacks_is_refused_by_name_and_not_listed(tmp_path, monkeypatch):
    lacking = {"starter": STARTER_FOLDER, "starter-gan": tmp_path / "gan"}
    monkeypatch.setattr("designkit.generators.catalog.SHIPPED", lacking)
    with pytest.raises(ModelRefused, match=r"starter-gan did not come with this installation.*\n?.*use starter"):
        open_generator("starter-gan")
    assert "starter-gan" not in [card.name for card in list_cards()]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("strater", "did you mean starter"),
        ("Draft", "did you mean draft?"),
        ("stabilityai/stable-difusion-xl-base-1.0", "did you mean stabilityai/stable-diffusion-xl-base-1.0"),
        ("nothing like it", "use `starter`"),
        ("./no/such/folder", "there is no model at ./no/such/folder"),
        ("nowhere.safetensors", "there is no model at nowhere.safetensors"),
        ("acme/unheard-of", "is not on this disk"),
        ("", "there is no model named ''"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused_with_the_nearest(name, hint):
    with pytest.raises(ModelRefused) as refusal:
        open_generator(name)
    assert hint in str(refusal.value)
    assert refusal.value.exit_code == 7


def test_a_misspelt_path_is_refused_with_its_neighbour(model):
    wrong = model.with_name("modle")
    with pytest.raises(ModelRefused, match=rf"there is no model at {wrong}.*did you mean {model}\?"):
        find_card(str(wrong))


def test_a_cached_hub_model_is_found_at_its_commit(cache):
    card = find_card("acme/soda")
    assert (card.name, card.revision, card.folder) == ("acme/soda", COMMIT, cache / "snapshots" / COMMIT)
    assert find_card(f"acme/soda@{COMMIT}").revision == COMMIT
    generator = open_generator("acme/soda", precision="fp32", threads=1)
    assert pixels(generator, [ask(0)]) == pixels(open_tiny(cache / "snapshots" / COMMIT), [ask(0)])


def test_a_revision_that_is_not_cached_is_not_taken_for_another(cache):
    with pytest.raises(ModelRefused, match="acme/soda@v2 is not on this disk"):
        find_card("acme/soda@v2")


def test_a_misspelt_cached_model_is_refused_with_its_name(cache):
    with pytest.raises(ModelRefused, match=r"did you mean acme/soda\?"):
        find_card("acme/sodda")


def test_a_model_that_is_not_on_this_disk_is_announced_where_the_network_is_allowed(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE")
    card = find_card("black-forest-labs/FLUX.1-schnell@refs/pr/1")
    assert (card.pipeline, card.licence, card.default_steps, card.folder) == ("FluxPipeline", "apache-2.0", 4, None)
    assert card.notes == ("not on this disk: generating downloads it from the Hub first",)


def test_half_downloaded_models_count_as_not_on_this_disk(cache, monkeypatch):
    shutil.rmtree(cache / "snapshots" / COMMIT / "unet")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert find_card("acme/soda").folder is None


def test_a_card_is_read_in_a_moment_and_without_heavy_libraries(tiny_model):
    program = (
        "import sys, time\n"
        "from designkit.generators.catalog import find_card, list_cards\n"
        "from designkit.generators.prompt_check import check_prompts\n"
        "started = time.process_time()\n"
        f"card = find_card({str(tiny_model('QwenImagePipeline'))!r})\n"
        "check_prompts(card, ['a soda can ' * 300])\n"
        "list_cards()\n"
        "print(time.process_time() - started)\n"
        "heavy = {'torch', 'numpy', 'diffusers', 'transformers', 'huggingface_hub', 'accelerate', 'PIL'}\n"
        "print(sorted(heavy & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, cwd=REPOSITORY, capture_output=True, text=True)
    seconds, heavy = done.stdout.splitlines()
    assert heavy == "[]"
    assert float(seconds) < 0.25
