"""Pictures to learn from: what is said of odd and broken files, classes, captions, splits, and what is kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from designkit.errors import InputRefused
from designkit.training.data import load, open_pictures, survey, to_tensor
from designkit.training.pictures import cut_square, decode, flatten
from designkit.training.splits import held_out, near_duplicates, order
from tests.training.odd_pictures import SIZE, UNUSABLE, USABLE, idx, saved, scene, transparent, write_all


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    write_all(folder)
    return folder


def colour_at(image: Image.Image, x: int, y: int) -> np.ndarray:
    return np.asarray(image.convert("RGB"))[y, x].astype(int)


def noise(seed: int, side: int = 48) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize(
        (side, side), Image.Resampling.BICUBIC
    )


@pytest.mark.parametrize("name", USABLE)
def test_an_odd_picture_is_read_as_it_is_meant(name: str):
    make, mode, steps = USABLE[name]
    picture = decode(make(), suffix=Path(name).suffix)
    assert (picture.image.mode, picture.steps) == (mode, steps)
    assert picture.image.size == (SIZE[::-1] if name == "turned.jpg" else SIZE)


def test_every_odd_file_is_used_or_left_out_by_name_and_none_is_touched(odd: Path):
    before = {path.name: path.lstat() for path in odd.iterdir()}
    found = survey(odd)
    assert {entry.item.name for entry in found.entries} == {*USABLE, "caf\\xe9\\n.png"}
    reasons = {each.name: each.reason for each in found.left_out}
    assert reasons.keys() == {*UNUSABLE, "dead.png"}
    assert len(found.entries) + len(found.left_out) >= 30
    for name, (_, words) in UNUSABLE.items():
        assert words in reasons[name], name
    assert "cannot be read" in reasons["dead.png"]
    assert found.num_other_files == 1
    text = found.text(max_names=20)
    assert all(name in text for name in reasons)
    assert text.isprintable() or text.replace("\n", "").isprintable()
    assert {path.name: path.lstat() for path in odd.iterdir()} == before
    assert load(found, side_px=16, cache=odd.parent / "cache").pixels.shape == (len(found.entries), 16, 16, 3)


def test_a_turned_photo_stands_upright():
    make, _, _ = USABLE["turned.jpg"]
    image = decode(make()).image
    assert image.size == (30, 40)
    assert (colour_at(image, 29 - 3, 3) > 240).all()  # the white corner goes from top left to top right


def test_sixteen_bits_keep_their_levels_instead_of_being_cut_at_255():
    for name in ("sixteen.png", "sixteen.tif"):
        row = np.asarray(decode(USABLE[name][0]()).image)[0]
        assert np.array_equal(row, np.rint(np.linspace(0, 65535, 40).astype(np.uint16) / 257).astype(np.uint8))


def test_colours_behind_full_transparency_do_not_show_and_the_ground_does():
    image = decode(saved(transparent(), "PNG")).image
    on_teal = flatten(image, "#008080")
    assert colour_at(on_teal, 30, 10).tolist() == [0, 128, 128]
    assert colour_at(on_teal, 10, 10).tolist() == [200, 30, 30]
    small = np.asarray(cut_square(image, 10)).astype(int)
    visible = small[small[..., 3] > 0]
    assert visible[:, 1].max() < 60  # hidden green would bleed into the edge


def test_a_profile_is_converted_and_not_only_dropped():
    plain = colour_at(decode(USABLE["plain.png"][0]()).image, 10, 20)
    linear = colour_at(decode(USABLE["profile.png"][0]()).image, 10, 20)
    expected = [round(255 * (1.055 * (v / 255) ** (1 / 2.4) - 0.055)) for v in plain]  # IEC 61966-2-1
    assert np.abs(linear - expected).max() <= 2


def test_cmyk_by_its_numbers_is_near_the_colours_it_was_made_from():
    image = decode(USABLE["cmyk.jpg"][0]()).image
    assert np.abs(colour_at(image, 10, 20) - (200, 30, 30)).max() < 12


def test_class_folders_are_labels(tmp_path: Path):
    for name, seeds in {"cans": range(3), "jars": range(3, 8)}.items():
        (tmp_path / name / "deeper").mkdir(parents=True)
        for seed in seeds:
            noise(seed).save(tmp_path / name / "deeper" / f"{seed}.png")
    found = survey(tmp_path)
    assert found.summary()["classes"] == {"cans": 3, "jars": 5}
    pictures = load(found, side_px=8, cache=tmp_path.with_name("cache"))
    assert pictures.classes == ("cans", "jars")
    assert pictures.labels.tolist() == [0] * 3 + [1] * 5
    noise(9).save(tmp_path / "loose.png")
    assert survey(tmp_path).classes == ()


def test_captions_come_from_metadata_first_and_then_from_text_files(tmp_path: Path):
    for name in "abc":
        noise(ord(name)).save(tmp_path / f"{name}.png")
    lines = [{"file_name": "a.png", "text": "a red can"}, {"file_name": "c.png", "label": "jar"}]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "a.txt").write_text("not this")
    (tmp_path / "b.txt").write_text("\ufeffa teal\r\njar\n")
    found = survey(tmp_path)
    assert [entry.item.caption for entry in found.entries] == ["a red can", "a teal jar", None]
    assert [entry.item.label for entry in found.entries] == [None, None, "jar"]
    assert "2 of 3 have a caption" in found.text()


def test_all_mistakes_in_what_is_said_of_pictures_are_told_at_once(tmp_path: Path):
    noise(1).save(tmp_path / "a.png")
    noise(2).save(tmp_path / "b.png")
    (tmp_path / "b.txt").write_bytes(b"caf\xe9")
    lines = [
        '{"file_name": "a.png"}', "{", '{"text": "x"}', '{"file_name": "gone.png"}', '{"file_name": "../a.png"}',
        '{"file_name": "a.png"}', '{"file_name": "b.png", "text": 3}',
    ]  # fmt: skip
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
    with pytest.raises(InputRefused) as refusal:
        survey(tmp_path)
    places = sorted((Path(problem.file or "").name, problem.line) for problem in refusal.value.problems)
    assert places == [("b.txt", 1), *(("metadata.jsonl", line) for line in (2, 3, 4, 5, 6, 7))]


@pytest.mark.parametrize("zipped", [False, True])
def test_mnist_files_are_read_with_their_labels(tmp_path: Path, zipped: bool):
    rng = np.random.default_rng(0)
    digits, labels = rng.integers(0, 256, (20, 28, 28), dtype=np.uint8), rng.integers(0, 3, 20).astype(np.uint8)
    suffix = ".gz" if zipped else ""
    (tmp_path / f"train-images-idx3-ubyte{suffix}").write_bytes(idx(digits, zipped=zipped))
    (tmp_path / f"train-labels-idx1-ubyte{suffix}").write_bytes(idx(labels, zipped=zipped))
    pictures = open_pictures(tmp_path, side_px=28, cache=tmp_path / "cache")
    assert np.array_equal(pictures.pixels[..., 0], digits)
    assert [pictures.classes[number] for number in pictures.labels] == [str(label) for label in labels]
    (tmp_path / f"train-labels-idx1-ubyte{suffix}").write_bytes(idx(labels[:5], zipped=zipped))
    with pytest.raises(InputRefused, match="5 labels for 20"):
        survey(tmp_path)


def test_parquet_files_are_read_where_pyarrow_is_there_and_refused_in_words_where_not(tmp_path: Path):
    file = tmp_path / "data.parquet"
    try:
        import pyarrow  # pyright: ignore[reportMissingImports]
        import pyarrow.parquet  # pyright: ignore[reportMissingImports]
    except ImportError:
        file.write_bytes(b"PAR1")
        with pytest.raises(InputRefused, match=r"designkit\[parquet\]"):
            survey(file)
        return
    cells = [{"bytes": saved(noise(seed), "PNG"), "path": None} for seed in range(3)]
    table = pyarrow.table({"image": cells, "label": [0, 1, 1], "text": ["a", None, "c"]})
    pyarrow.parquet.write_table(table, file)
    found = survey(file)
    assert [(entry.item.label, entry.item.caption) for entry in found.entries] == [("0", "a"), ("1", None), ("1", "c")]
    file.write_bytes(b"PAR1 cut off")
    with pytest.raises(InputRefused, match="cannot be read"):
        survey(file)


def test_copies_that_were_scaled_or_compressed_are_near_duplicates_and_other_pictures_are_not(tmp_path: Path):
    for seed in range(12):
        noise(seed, 96).save(tmp_path / f"{seed:02}.png")
    noise(3, 96).resize((60, 60), Image.Resampling.LANCZOS).save(tmp_path / "small-3.png")
    noise(3, 96).save(tmp_path / "web-3.jpg", quality=60)
    found = survey(tmp_path)
    names = [entry.item.name for entry in found.entries]
    group = [name for name, first in zip(names, found.duplicates, strict=True) if names[first] == "03.png"]
    assert group == ["03.png", "small-3.png", "web-3.jpg"]
    assert len(set(found.duplicates)) == 12


def test_the_split_follows_contents_not_names_and_keeps_near_duplicates_together():
    hashes = [f"{number:064x}" for number in range(200)]
    groups = np.arange(200) // 2 * 2
    labels = ["a" if number < 100 else "b" for number in range(200)]
    chosen = held_out(hashes, groups, labels, share=0.1)
    assert (chosen[0::2] == chosen[1::2]).all()
    assert (chosen[:100].sum(), chosen[100:].sum()) == (10, 10)
    shuffle = np.random.default_rng(0).permutation(200)
    first = {int(g): min(np.nonzero(groups[shuffle] == g)[0]) for g in groups}
    again = held_out(
        [hashes[i] for i in shuffle], np.array([first[int(groups[i])] for i in shuffle]), [labels[i] for i in shuffle],
        share=0.1,
    )  # fmt: skip
    assert (again == chosen[shuffle]).all()
    fewer = held_out(hashes[:-2], groups[:-2], labels[:-2], share=0.1)
    assert (fewer == chosen[:-2]).mean() > 0.98


def test_all_pairs_are_compared_by_the_root_mean_square_difference():
    rng = np.random.default_rng(1)
    looks = rng.integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    looks[30] = np.clip(looks[4].astype(int) + rng.integers(-3, 4, looks[4].shape), 0, 255)
    looks[31] = np.clip(looks[30].astype(int) + 2, 0, 255)  # near to 30, and through it to 4
    expected = list(range(40))
    expected[30] = expected[31] = 4
    assert near_duplicates(looks).tolist() == expected


def test_every_epoch_shows_every_picture_once_and_any_step_can_be_asked_for():
    drawn = np.concatenate([order(step, 7, 23, seed=5) for step in range(23)])  # 7 epochs of 23
    assert all(sorted(epoch) == list(range(23)) for epoch in drawn.reshape(7, 23))
    assert not np.array_equal(drawn[:23], drawn[23:46])
    assert np.array_equal(order(9, 7, 23, seed=5), drawn[63:70])


def test_decoded_pictures_are_kept_by_content_and_made_anew_when_a_file_changes(tmp_path: Path):
    folder, cache = tmp_path / "pictures", tmp_path / "cache"
    folder.mkdir()
    for seed in range(4):
        noise(seed).save(folder / f"{seed}.png")
    first = open_pictures(folder, side_px=12, cache=cache)
    (kept,) = cache.glob("pictures-*.npy")
    stamp = kept.stat().st_mtime_ns
    again = open_pictures(folder, side_px=12, cache=cache)
    assert kept.stat().st_mtime_ns == stamp
    assert isinstance(again.pixels, np.memmap)
    assert np.array_equal(first.pixels, again.pixels)
    noise(9).save(folder / "0.png")
    changed = open_pictures(folder, side_px=12, cache=cache)
    expected = np.asarray(cut_square(noise(9), 12))
    assert np.array_equal(changed.pixels[0], expected)
    assert np.array_equal(changed.pixels[1:], first.pixels[1:])
    assert torch.equal(
        to_tensor(changed.pixels[:1])[0], torch.from_numpy(expected.copy()).permute(2, 0, 1).float() / 127.5 - 1
    )


def test_a_place_without_pictures_is_refused(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(InputRefused, match=r"no usable picture here. a.png is empty"):
        load(survey(tmp_path), side_px=8, cache=tmp_path / "cache")
    with pytest.raises(InputRefused, match="no such folder"):
        survey(tmp_path / "nowhere")


def test_an_opaque_copy_in_another_mode_gives_the_same_pixels():
    expected = np.asarray(scene())
    for name in ("plain.png", "full-alpha.png", "palette.png", "srgb.png", "picture.webp", "animated.gif", "pages.tif"):
        assert np.abs(np.asarray(decode(USABLE[name][0]()).image).astype(int) - expected).max() <= 1, name
