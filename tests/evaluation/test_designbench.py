"""DesignBench: its prompts, its judge, its controls."""

# pyright: basic
import json
from collections import Counter

import pytest
from PIL import Image

from designkit.evaluation.designbench import (
    bench_id,
    bench_items,
    blank_pictures,
    judge,
    noise_pictures,
    prompt_lines,
    rendered_answers,
    scores,
    wilson_interval,
)
from designkit.starter.captions import unknown_words
from designkit.starter.scenes import pair_is_held_out


def test_the_prompts_never_change_unnoticed():
    items = bench_items()
    assert (len(items), bench_id(items)) == (576, "4a43362e")


def test_fewer_items_are_the_first_of_each_task():
    few, many = bench_items(3), bench_items(5)
    assert few == [item for item in many if item.number < 3]


def test_every_prompt_is_in_words_that_the_starter_knows():
    assert [word for item in bench_items() for word in unknown_words(item.prompt)] == []


def test_tasks_ask_for_each_of_their_values_equally_often():
    by_task = {task: [item.scene for item in bench_items() if item.task == task] for task in ("position", "counting")}
    assert sorted(Counter(scene.position for scene in by_task["position"]).values()) == [9, 9, 10, 10, 10]
    assert Counter(scene.count for scene in by_task["counting"]) == {2: 24, 3: 24}


def test_only_the_held_out_task_asks_for_pairs_that_training_never_showed():
    asked: dict[str, set[bool]] = {"colour": set(), "held-out combination": set()}
    for item in bench_items():
        if item.task in asked:
            asked[item.task].add(pair_is_held_out(item.scene.subject, item.scene.colour or ""))
    assert asked == {"colour": {False}, "held-out combination": {True}}


def test_the_prompt_file_has_one_line_and_one_seed_an_item():
    items = bench_items(2)
    rows = [json.loads(line) for line in prompt_lines(items).splitlines()]
    assert [row["prompt"] for row in rows] == [item.prompt for item in items]
    assert len({row["seed"] for row in rows}) == len(items)
    assert rows[2] | {"seed": 0, "prompt": ""} == {
        "prompt": "", "task": "two subjects", "item": "two-subjects-00", "seed": 0,
    }  # fmt: skip


def test_rendered_answers_are_judged_right_and_controls_wrong():
    items = bench_items(6)
    right = scores(judge(rendered_answers(items), items))
    assert right[-1].share > 0.9
    assert min(score.share for score in right) >= 4 / 6
    for control in (noise_pictures(items), blank_pictures(items)):
        found = {score.task: score.share for score in scores(judge(control, items))}
        assert found["all tasks"] < 0.12
        for task in ("single subject", "two subjects", "counting", "colour", "attribute binding", "position"):
            assert found[task] <= 1 / 6, task


def test_answers_to_other_prompts_are_wrong():
    items = bench_items(4)
    answers = rendered_answers(items)
    assert scores(judge(answers[1:] + answers[:1], items))[-1].share < 0.25


def test_size_and_shape_of_a_picture_do_not_matter_and_a_missing_one_is_wrong():
    items = [item for item in bench_items(1) if item.task in ("single subject", "colour")]
    large = [answer.resize((640, 640), Image.Resampling.BICUBIC) for answer in rendered_answers(items)]
    assert [verdict.right for verdict in judge(large, items)] == [True, True]
    assert [verdict.facts for verdict in judge([None, None], items)] == [
        {"subject": False}, {"subject": False, "colour": False},
    ]  # fmt: skip


@pytest.mark.parametrize(("right", "total", "low", "high"), [(10, 20, 0.2993, 0.7007), (0, 10, 0.0, 0.2775)])
def test_the_interval_of_a_share_is_wilsons(right: int, total: int, low: float, high: float):
    assert wilson_interval(right, total) == pytest.approx((low, high), abs=1e-4)
