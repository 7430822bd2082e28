"""A plan becomes pictures in a run folder; failures, full disks and interruptions cost only what they must."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from designkit.batch.generate import (
    MAX_UNSAVED_IMAGES,
    changed_settings,
    draw_missing,
    find_work,
    generate,
    resumed_settings,
)
from designkit.batch.plan import Plan, make_plan, read_prompts
from designkit.errors import StorageError
from designkit.generators import open_generator
from designkit.generators.base import ModelCard
from designkit.runs.folder import open_run, read_run
from designkit.values import GeneratedImage, ImageRequest

PROMPT = "a {red|teal|navy} {can|bottle}, flat style"


class Studio:
    """Drafts, changed on the way by whatever the test wants to go wrong."""

    def __init__(self, change: Callable[[int, GeneratedImage], GeneratedImage | None] | None = None, **settings: Any):
        self._draft = open_generator("draft")
        self._change = change or (lambda number, image: image)
        self._settings = settings
        self.card: ModelCard = self._draft.card
        self.num_drawn = 0

    @property
    def settings(self) -> dict[str, object]:
        return {**self._draft.settings, **self._settings}

    def generate(self, requests: Sequence[ImageRequest]) -> Iterator[GeneratedImage]:
        for number, image in enumerate(self._draft.generate(requests)):
            self.num_drawn += 1
            changed = self._change(number, image)
            if changed is not None:
                yield changed


def plan_for(prompt: str = PROMPT, *overrides: str, limit: int | None = None) -> Plan:
    (file,) = read_prompts([prompt], overrides=["model=draft", "sizes=[48x48]", *overrides])
    return make_plan(file, limit=limit)


def pixels(folder: Path) -> dict[str, str]:
    return {record.id: record.pixels_sha256 or "" for record in read_run(folder).records}


def image_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "images").iterdir()}


def test_every_image_of_the_plan_is_made_recorded_and_kept(tmp_path: Path) -> None:
    plan = plan_for()
    report = generate(plan, open_generator("draft"), tmp_path / "run")
    assert (report.num_made, report.num_kept, report.failed, report.outside) == (6, 0, (), ())
    contents = read_run(tmp_path / "run")
    assert [record.id for record in contents.records] == [request.id for request in plan.requests()]
    for record, request in zip(contents.records, plan.requests(), strict=True):
        assert (record.status, record.prompt, dict(record.choices)) == ("done", request.prompt, dict(request.choices))
        assert record.settings == {
            "steps": None,
            "guidance": None,
            "scheduler": None,
            "adapters": [],
            "drawn": "48x48",
            "device": "cpu",
            "precision": "none",
            "batch_size": 1,
            "threads": 1,
        }
        assert record.model == {"name": "draft", "revision": "1", "licence": "CC0-1.0"}
        data = (tmp_path / "run" / str(record.file)).read_bytes()
        assert hashlib.sha256(data).hexdigest() == record.file_sha256
        with Image.open(tmp_path / "run" / str(record.file)) as picture:
            assert picture.size == (48, 48)
            assert hashlib.sha256(picture.tobytes()).hexdigest() == record.pixels_sha256
            assert json.loads(picture.info["designkit"])["id"] == record.id
            assert str(picture.info["parameters"]).startswith(f"{request.prompt}\nSeed: {request.seed}, Size: 48x48")
    again = Studio()
    report = generate(plan, again, tmp_path / "run")
    assert (report.num_made, report.num_kept, again.num_drawn) == (0, 6, 0)


def test_the_description_tells_what_was_asked_for_and_by_what_it_was_made(tmp_path: Path) -> None:
    plan = plan_for(limit=2)
    generate(plan, open_generator("draft"), tmp_path / "run")
    description = json.loads((tmp_path / "run" / "run.json").read_text())
    assert description["plan"]["limit"] == 2
    assert description["plan"]["images"] == [request.id for request in plan.requests()]
    assert description["model"]["licence"] == "CC0-1.0"
    assert description["generator"] == {"device": "cpu", "precision": "none", "batch_size": 1, "threads": 1}
    assert description["versions"]["python"]
    assert str(tmp_path) not in json.dumps(description)


def test_a_failed_image_is_recorded_and_tried_again_while_the_others_are_kept(tmp_path: Path) -> None:
    def fail_second(number: int, image: GeneratedImage) -> GeneratedImage:
        return replace(image, picture=None, failure="the picture came out black") if number == 1 else image

    plan = plan_for()
    report = generate(plan, Studio(fail_second), tmp_path / "run")
    assert (report.num_made, [record.failure for record in report.failed]) == (5, ["the picture came out black"])
    assert len(image_bytes(tmp_path / "run")) == 5
    studio = Studio()
    report = generate(plan, studio, tmp_path / "run")
    assert (report.num_made, report.num_kept, report.failed, studio.num_drawn) == (1, 5, (), 1)
    whole = generate(plan, Studio(), tmp_path / "whole")
    assert whole.num_made == 6
    assert image_bytes(tmp_path / "run") == image_bytes(tmp_path / "whole")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda image: replace(image, picture=image.image.resize((10, 20))),
            "the generator drew 10x20 instead of 48x48",
        ),
        (lambda image: replace(image, picture=None), "the generator gave neither a picture nor a reason"),
        (lambda image: None, "the generator ended without drawing it"),
    ],
)
def test_what_a_generator_does_wrong_is_a_failed_image(tmp_path: Path, change: Any, reason: str) -> None:
    report = generate(
        plan_for(), Studio(lambda number, image: change(image) if number == 2 else image), tmp_path / "run"
    )
    assert (report.num_made, [record.failure for record in report.failed]) == (5, [reason])


def test_other_modes_are_saved_as_rgb_and_transparency_is_kept(tmp_path: Path) -> None:
    modes = ["L", "P", "RGBA", "CMYK", "1", "RGB"]
    studio = Studio(lambda number, image: replace(image, picture=image.image.convert(modes[number])))
    generate(plan_for(), studio, tmp_path / "run")
    saved = []
    for record in read_run(tmp_path / "run").records:
        with Image.open(tmp_path / "run" / str(record.file)) as picture:
            saved.append(picture.mode)
    assert saved == ["RGB", "RGB", "RGBA", "RGB", "RGB", "RGB"]


def test_an_edited_prompt_file_makes_only_what_is_missing_and_keeps_the_rest(tmp_path: Path) -> None:
    generate(plan_for("a {red|teal} can"), Studio(), tmp_path / "run")
    before = image_bytes(tmp_path / "run")
    studio = Studio()
    report = generate(plan_for("a {teal|navy} can"), studio, tmp_path / "run")
    assert (report.num_made, report.num_kept, studio.num_drawn) == (1, 1, 1)
    assert [record.prompt for record in report.outside] == ["a red can"]
    contents = read_run(tmp_path / "run")
    assert [record.prompt for record in contents.records] == ["a teal can", "a navy can"]
    assert [record.prompt for record in contents.outside] == ["a red can"]
    assert before.items() <= image_bytes(tmp_path / "run").items()


def test_pictures_that_somebody_deleted_or_changed_are_made_again_under_their_names(tmp_path: Path) -> None:
    plan = plan_for()
    generate(plan, Studio(), tmp_path / "run")
    before = image_bytes(tmp_path / "run")
    gone, changed, *_ = sorted((tmp_path / "run" / "images").iterdir())
    gone.unlink()
    changed.write_bytes(changed.read_bytes()[:-1])
    report = generate(plan, Studio(), tmp_path / "run")
    assert (report.num_made, report.num_kept) == (2, 4)
    assert image_bytes(tmp_path / "run") == before


def test_any_order_and_any_split_give_the_same_bytes(tmp_path: Path) -> None:
    plan = plan_for()
    generate(plan, Studio(), tmp_path / "whole")
    requests = list(plan.requests())
    random.Random(1).shuffle(requests)
    with open_run(tmp_path / "parts") as run:
        work = find_work(plan, run)
        for part in (requests[:1], requests[1:4], requests[4:]):
            records = list(draw_missing(replace(work, missing=tuple(part)), Studio(), run))
            assert [record.id for record in records] == [request.id for request in part]
    assert image_bytes(tmp_path / "parts") == image_bytes(tmp_path / "whole")
    assert pixels(tmp_path / "parts") == pixels(tmp_path / "whole")


def test_stopping_in_the_middle_saves_what_was_drawn_and_goes_on(tmp_path: Path) -> None:
    plan = plan_for()
    with open_run(tmp_path / "run") as run:
        studio = Studio()
        drawing = draw_missing(find_work(plan, run), studio, run)
        next(drawing)
        drawing.close()
        assert len(run.records) == studio.num_drawn
    report = generate(plan, Studio(), tmp_path / "run")
    assert report.num_kept == studio.num_drawn
    generate(plan, Studio(), tmp_path / "whole")
    assert image_bytes(tmp_path / "run") == image_bytes(tmp_path / "whole")


def test_an_error_in_the_generator_comes_out_after_what_was_drawn_is_safe(tmp_path: Path) -> None:
    def break_third(number: int, image: GeneratedImage) -> GeneratedImage:
        if number == 3:
            raise RuntimeError("out of memory")
        return image

    with pytest.raises(RuntimeError, match="out of memory"):
        generate(plan_for(), Studio(break_third), tmp_path / "run")
    with open_run(tmp_path / "run") as run:
        assert len(run.intact(run.records)) == 3


@pytest.mark.parametrize("call", ["write", "fsync"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("place", range(1, 14))
def test_a_disk_that_fails_at_any_point_ends_the_run_with_everything_before_it_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int, place: int
) -> None:
    plan = plan_for("a {red|teal|navy} can")
    with open_run(tmp_path / "run") as run:
        _fail_at(monkeypatch, call, place, code)
        safe: list[str] = []
        failure: StorageError | None = None
        try:
            for record in draw_missing(find_work(plan, run), Studio(), run):
                safe.append(record.id)  # noqa: PERF401 - those before the failure count
        except StorageError as error:
            failure = error
        monkeypatch.undo()
    with open_run(tmp_path / "run") as run:
        assert set(safe) <= run.intact(run.records)
    assert len(safe) == 3 if failure is None else failure.exit_code == 4 and str(tmp_path) in str(failure)
    generate(plan, Studio(), tmp_path / "run")
    generate(plan, Studio(), tmp_path / "whole")
    assert image_bytes(tmp_path / "run") == image_bytes(tmp_path / "whole")
    assert pixels(tmp_path / "run") == pixels(tmp_path / "whole")


def _fail_at(monkeypatch: pytest.MonkeyPatch, call: str, place: int, code: int) -> None:
    """Let the disk fail once, at the given call (write: after half of the bytes)."""
    original = getattr(os, call)
    lock, calls = threading.Lock(), 0

    def failing(descriptor: int, *arguments: Any) -> Any:
        nonlocal calls
        with lock:
            calls += 1
            is_the_one = calls == place
        if not is_the_one:
            return original(descriptor, *arguments)
        if call == "write":
            original(descriptor, arguments[0][: len(arguments[0]) // 2])
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, failing)


def test_only_a_few_drawn_pictures_wait_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = threading.Semaphore(0)
    original = os.fsync

    def wait_and_sync(descriptor: int) -> None:
        slow.acquire()
        original(descriptor)

    plan = plan_for("a {red|teal|navy|pink|gold|mint} {can|bottle}")
    studio = Studio()
    with open_run(tmp_path / "run") as run:
        work = find_work(plan, run)
        run.describe({"plan": {"images": []}})
        drawing = draw_missing(work, studio, run)
        monkeypatch.setattr(os, "fsync", wait_and_sync)
        threading.Timer(0.3, lambda: slow.release(10_000)).start()
        next(drawing)
        assert studio.num_drawn <= MAX_UNSAVED_IMAGES + 2
        assert len(list(drawing)) == 11


def test_a_run_is_carried_on_with_the_settings_it_was_begun_with(tmp_path: Path) -> None:
    first = Studio(precision="bf16", batch_size=4, threads=2)
    generate(plan_for(limit=2), first, tmp_path / "run")
    other = replace(first.card, revision="2")
    with open_run(tmp_path / "run") as run:
        assert resumed_settings(run, first.card) == {"precision": "bf16", "batch_size": 4, "threads": 2}
        assert resumed_settings(run, other) == {}
        assert changed_settings(run, first) == ()
        (warning,) = changed_settings(run, Studio(precision="fp32", batch_size=4, threads=2))
    assert warning == "new pictures may differ in rounding from those made before: precision bf16 -> fp32"
    report = generate(plan_for(), Studio(precision="fp32", batch_size=4, threads=2), tmp_path / "run")
    assert report.warnings == (warning,)


def test_a_precision_that_is_none_is_not_asked_for_again(tmp_path: Path) -> None:
    generate(plan_for(limit=1), Studio(), tmp_path / "run")
    with open_run(tmp_path / "run") as run:
        assert resumed_settings(run, Studio().card) == {"batch_size": 1, "threads": 1}


def test_reasons_and_measurements_of_a_generator_stay_out_of_its_pictures(tmp_path: Path) -> None:
    generate(plan_for(), Studio(precision_reason="bf16 measured 2.9 times as fast"), tmp_path / "one")
    generate(plan_for(), Studio(precision_reason="asked for"), tmp_path / "two")
    assert image_bytes(tmp_path / "one") == image_bytes(tmp_path / "two")
    assert (tmp_path / "one" / "run.json").read_bytes() == (tmp_path / "two" / "run.json").read_bytes()
