"""The recipe of the detector that judges pictures."""

# pyright: basic
import random
from pathlib import Path

import torch

from designkit.models.detector import CELL_PX, load_detector
from designkit.starter.detector import TRAITS
from designkit.starter.renderer import centres, render
from designkit.starter.scenes import random_scene
from designkit.starter.subjects import SUBJECTS
from designkit.training.config import DetectorRecipe, read_recipe
from designkit.training.recipes.autoencoder import CROP
from designkit.training.recipes.detector import cell_classes, judged_scene, train_detector

NAMES = [subject.name for subject in SUBJECTS]


def test_cells_around_each_middle_carry_the_subject_there():
    rng = random.Random(3)
    for _ in range(50):
        scene = judged_scene(rng)
        shown = [scene.subject, scene.other] if scene.other else [scene.subject] * scene.count
        classes = cell_classes(scene)
        for name, (x, y) in zip(shown, centres(scene, CROP), strict=True):
            assert NAMES[classes[int(y / CELL_PX), int(x / CELL_PX)]] == name
        assert int((classes < len(NAMES)).sum()) <= 9 * len(shown)


def test_pairs_show_two_subjects_side_by_side():
    rng = random.Random(4)
    pairs = [scene for scene in (judged_scene(rng) for _ in range(60)) if scene.other]
    assert pairs
    for scene in pairs:
        assert scene.other != scene.subject
        (left, _), (right, _) = centres(scene, CROP)
        assert right - left > CROP.width / 3


def test_the_recipe_writes_weights_that_load_and_a_second_call_makes_no_step(tmp_path: Path):
    path = Path("prompts/train/detector.yaml")
    recipe = read_recipe(path, ["training.steps=2", "training.batch_size=2"], model=DetectorRecipe)
    assert [report.stage for report in train_detector(recipe, tmp_path)] == ["detector"] * 2
    detector = load_detector(tmp_path / "detector.safetensors", TRAITS, len(SUBJECTS))
    picture = render(random_scene(random.Random(1)), CROP)
    pixels = torch.tensor(list(picture.tobytes()), dtype=torch.float32).reshape(1, CROP.height, CROP.width, 3)
    cells, traits = detector(pixels.permute(0, 3, 1, 2) / 127.5 - 1)
    assert cells.shape == (1, len(SUBJECTS) + 1, 16, 16)
    assert {name: logits.shape[1] for name, logits in traits.items()} == {"style": 4, "background": 5, "product": 6}
    assert list(train_detector(recipe, tmp_path)) == []
