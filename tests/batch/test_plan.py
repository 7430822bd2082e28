"""Plans: every request decided once, and everything that a model will not honour said before it is loaded."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from designkit.batch import looks
from designkit.batch.plan import MAX_IMAGES, Plan, make_plan, read_prompts
from designkit.errors import InputRefused, ModelRefused, Problem
from designkit.generators.base import ModelCard
from designkit.generators.catalog import DRAFT_CARD
from designkit.prompts.entries import Entry
from designkit.prompts.seeds import parse_seeds
from designkit.prompts.template import parse_template
from designkit.values import ImageRequest, Size

ROOT = Path(__file__).parents[2]

CARD = ModelCard(
    name="tiny",
    family="stable-diffusion",
    revision="abc",
    licence="Apache-2.0",
    native_sizes=(Size(width=128, height=128), Size(width=160, height=96)),
    accepts=frozenset({"negative", "steps", "guidance", "scheduler", "adapters"}),
    default_steps=20,
    default_guidance=4.0,
)


def write(folder: Path, text: str, name: str = "file.yaml") -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def nothing_lost(card: ModelCard, prompts: object) -> tuple[Problem, ...]:
    return ()


def plan_of(argument: str, *overrides: str, card: ModelCard = CARD, limit: int | None = None) -> Plan:
    (file,) = read_prompts([argument], overrides=overrides)
    return make_plan(file, card=card, limit=limit, check_prompts=nothing_lost)


def codes(plan: Plan) -> list[str]:
    return [problem.code for problem in plan.warnings]


BASIC = """\
prompt: "a {product}, {flat|bold}"
negative: "no {product}"
axes: {product: {can: soda can, box: gift box}}
sizes: [square, 160x96]
seeds: 2
model: {steps: 8}
"""


def test_requests_are_variants_times_sizes_times_seeds_in_order(tmp_path: Path):
    plan = plan_of(write(tmp_path, BASIC))
    requests = list(plan.requests())
    assert (plan.count, plan.num_variants, len(requests)) == (16, 4, 16)
    assert [
        (request.prompt, str(request.size), str(request.drawn), request.seed) for request in islice(requests, 0, 16, 3)
    ] == [
        ("a soda can, flat", "1080x1080", "128x128", 0),
        ("a soda can, flat", "160x96", "160x96", 1),
        ("a soda can, bold", "160x96", "160x96", 0),
        ("a gift box, flat", "1080x1080", "128x128", 1),
        ("a gift box, bold", "1080x1080", "128x128", 0),
        ("a gift box, bold", "160x96", "160x96", 1),
    ]
    assert requests[0] == ImageRequest(
        id=requests[0].id,
        prompt="a soda can, flat",
        negative="no soda can",
        size=Size(width=1080, height=1080),
        drawn=Size(width=128, height=128),
        seed=0,
        steps=8,
        guidance=4.0,
        scheduler=None,
        adapters=(),
        choices={"product": "can", "1": "flat"},
        file=str(tmp_path / "file.yaml"),
    )


def test_an_id_is_the_hash_of_everything_that_sets_the_pixels(tmp_path: Path):
    (request,) = plan_of("a can", "sizes=[160x96]").requests()
    content = (
        '{"adapters":[],"drawn":[160,96],"guidance":4.0,"model":["stable-diffusion","abc",null],"negative":"",'
        '"prompt":"a can","scheduler":null,"seed":0,"size":[160,96],"steps":20}'
    )
    assert json.loads(content)
    assert request.id == sha256(content.encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    "change",
    ["prompt=b", "negative=b", "sizes=[64x64]", "seed=1", "model.steps=3", "model.guidance=2", "model.variant=fp16"],
)
def test_another_setting_gives_another_id(change: str):
    (before,), (after,) = plan_of("a").requests(), plan_of("a", change).requests()
    assert before.id != after.id


def test_another_model_gives_another_id_and_another_path_to_it_does_not():
    (before,) = plan_of("a").requests()
    assert [next(plan_of("a", card=card).requests()).id == before.id for card in (
        replace(CARD, revision="abd"), replace(CARD, family="sdxl"), replace(CARD, name="/elsewhere/tiny"),
    )] == [False, False, True]  # fmt: skip


def test_a_value_added_elsewhere_changes_no_id(tmp_path: Path):
    before = {request.id: request for request in plan_of(write(tmp_path, BASIC)).requests()}
    grown = BASIC.replace("{can:", "{new: jar, can:").replace("flat|", "pale|flat|").replace("seeds: 2", "seeds: 3")
    after = {request.id: request for request in plan_of(write(tmp_path, grown)).requests()}
    assert len(after) == 3 * 3 * 2 * 3
    assert before.keys() < after.keys()
    assert all(before[name].prompt == after[name].prompt for name in before)


def test_a_setting_that_the_model_has_not_is_left_out_of_request_and_id_and_said_once(tmp_path: Path):
    text = "prompt: [a, b]\nnegative: c\nmodel: {steps: 8, guidance: 3, scheduler: euler}\nsizes: [8x8]\n"
    plan = plan_of(write(tmp_path, text), card=DRAFT_CARD)
    assert [(problem.code, problem.line, problem.key) for problem in plan.warnings] == [
        ("negative-not-accepted", 2, "negative"),
        ("steps-not-accepted", 3, "model.steps"),
        ("guidance-not-accepted", 3, "model.guidance"),
        ("scheduler-not-accepted", 3, "model.scheduler"),
    ]
    plain = plan_of(write(tmp_path, "prompt: [a, b]\nsizes: [8x8]\n"), card=DRAFT_CARD)
    assert list(plan.requests()) == list(plain.requests())


def test_adapters_for_a_model_that_takes_none_are_refused(tmp_path: Path):
    path = write(tmp_path, "prompt: a\n\nmodel: {adapters: [x.safetensors]}\n")
    with pytest.raises(InputRefused, match=r"file\.yaml:3:model\.adapters: draft takes no adapters"):
        plan_of(path, card=DRAFT_CARD)


def test_a_missing_adapter_is_a_model_problem_at_its_place(tmp_path: Path):
    path = write(tmp_path, "prompt: a\nmodel: {adapters: [x.safetensors]}\n")
    with pytest.raises(ModelRefused, match=r"file\.yaml:2:model\.adapters: x\.safetensors: there is no such adapter"):
        plan_of(path)


def test_an_unknown_scheduler_is_refused_at_its_place(tmp_path: Path):
    with pytest.raises(InputRefused, match=r"file\.yaml:2:model\.scheduler: there is no scheduler named 'eular'"):
        plan_of(write(tmp_path, "prompt: a\nmodel: {scheduler: eular}\n"))


def test_the_size_asked_for_and_the_size_drawn_are_both_told(tmp_path: Path):
    plan = plan_of("a", "sizes=[64x64, 160x96, 512x512, 320x192]")
    assert {str(asked): str(drawn) for asked, drawn in plan.drawn.items()} == {
        "64x64": "128x128",
        "160x96": "160x96",
        "512x512": "128x128",
        "320x192": "160x96",
    }
    (warning,) = plan.warnings
    assert warning.code == "size-enlarged"
    assert "512x512 (drawn at 128x128, 4x), 320x192 (drawn at 160x96, 2x)" in warning.message


def test_without_sizes_the_model_draws_its_own():
    (request,) = plan_of("a").requests()
    assert request.size == request.drawn == CARD.native_sizes[0]


def test_two_names_of_one_size_are_made_once():
    assert plan_of("a", "sizes=[square, 1080x1080]").count == 1


def test_unknown_sizes_are_told_along_with_every_other_mistake(tmp_path: Path):
    path = write(tmp_path, "prompt: '{x}'\nsizes:\n- square\n- sqare\n- 9x9x9\n")
    with pytest.raises(InputRefused) as caught:
        read_prompts([path])
    assert [(problem.code, problem.line) for problem in caught.value.problems] == [
        ("unknown-axis", 1),
        ("unknown-size", 4),
        ("unknown-size", 5),
    ]


def test_variants_that_come_out_the_same_are_made_once_and_reported(tmp_path: Path):
    plan = plan_of(write(tmp_path, "prompt: 'a {{x|y}|{y|x}}{ |}'\nseeds: 2\nsizes: [8x8]\n"), card=DRAFT_CARD)
    requests = list(plan.requests())
    assert (plan.count, len(requests), len({request.id for request in requests})) == (4, 4, 4)
    (warning,) = plan.warnings
    assert (warning.code, warning.line) == ("duplicate-variant", 1)
    assert warning.message.startswith("12 images come out the same as another")


def test_rows_that_share_only_some_seeds_are_counted_exactly(tmp_path: Path):
    path = write(tmp_path, "prompt,seeds,sizes\na,0-3,8x8\na,2-5,8x8\na,0-9,9x9\nb,1,8x8\n", "rows.csv")
    plan = plan_of(path, card=DRAFT_CARD)
    assert plan.count == len(list(plan.requests())) == 4 + 2 + 10 + 1
    assert codes(plan) == ["duplicate-variant"]


def test_rows_of_all_seeds_that_there_are_are_compared_at_once(tmp_path: Path):
    text = "prompt,seeds,sizes\na,0-4294967295,8x8\na,7,8x8\na,7,9x9\n{a|b|a},5-4294967290,8x8\n"
    assert plan_of(write(tmp_path, text, "rows.csv"), card=DRAFT_CARD).count == 2**32 + 7 + (2**32 - 10)


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 5), st.sampled_from(["8x8", "9x9"])), min_size=2, max_size=6)
)
def test_ranges_of_seeds_are_compared_as_single_seeds_are(rows: list[tuple[int, int, str]]):
    def entry(first: int, more: int, size: str) -> Entry:
        seeds = parse_seeds([f"{first}-{first + more}", "90"])
        return Entry(prompt=parse_template("a")[0], negative=parse_template("")[0], sizes=(size,), seeds=seeds)

    entries = [entry(*row) for row in rows]
    one_by_one = looks._num_repeated(entries, CARD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(looks, "_FEW_IMAGES", 0)
        assert looks._num_repeated(entries, CARD) == one_by_one


def test_rows_with_their_own_sizes_and_seeds_are_counted_exactly(tmp_path: Path):
    path = write(tmp_path, "prompt,seeds\na {x|y},1\nb,5\nc {x|y|z},3\n", "rows.csv")
    for overrides in ([], ["sample={method: random, count: 4}"], ["sample.count=2"]):
        plan = plan_of(path, *overrides)
        assert plan.count == len(list(plan.requests()))
    assert plan_of(path).count == 2 + 5 + 9


def test_a_limit_takes_the_first_images(tmp_path: Path):
    path = write(tmp_path, BASIC)
    every = list(plan_of(path).requests())
    plan = plan_of(path, limit=5)
    assert (plan.count, list(plan.requests())) == (5, every[:5])
    assert plan_of(path, limit=99).count == 16
    with pytest.raises(InputRefused, match="at least 1"):
        plan_of(path, limit=0)


def test_a_first_part_of_the_variants_is_a_warning(tmp_path: Path):
    plan = plan_of(write(tmp_path, BASIC), "sample.count=3", "sizes=[64x64]")
    assert (plan.count, codes(plan)) == (6, ["first-variants"])
    assert "only the first 3 of 4 variants" in plan.warnings[0].message
    assert codes(plan_of(write(tmp_path, BASIC), "sample.count=4", "sizes=[64x64]")) == []


def test_when_everything_is_excluded_nothing_is_planned(tmp_path: Path):
    path = write(tmp_path, BASIC + "exclude:\n  - {product: [can, box]}\n")
    with pytest.raises(InputRefused, match=r"file\.yaml:7:exclude: no combination is left"):
        plan_of(path)


def test_a_brand_fills_its_words_and_its_mistakes_are_the_files(tmp_path: Path):
    write(tmp_path, "meta: {name: Lumen}\ndesignkit: {style: [flat, calm], avoid: [text]}\n", "brands/lumen/brand.yaml")
    text = "brand: lumen\nprompt: 'a {brand.name} can, {brand.style}'\nnegative: '{brand.avoid}'\n"
    (request,) = plan_of(write(tmp_path, text)).requests()
    assert (request.prompt, request.negative) == ("a Lumen can, flat, calm", "text")
    write(tmp_path, "designkit: {stile: flat}\n", "brands/lumen/brand.yaml")
    with pytest.raises(InputRefused, match=r"brand\.yaml:1:designkit\.stile: unknown key"):
        plan_of(write(tmp_path, text))


def test_what_the_model_will_not_read_is_told_at_the_prompt(tmp_path: Path):
    def lost(card: ModelCard, prompts: object) -> tuple[Problem, ...]:
        assert prompts == ["a x", "a y", "not x", "not y"]
        return tuple(Problem(code="words-cut-off", message=f"{number}", key="prompt") for number in range(60))

    (file,) = read_prompts([write(tmp_path, "\nprompt: 'a {b}'\naxes: {b: [x, y]}\nnegative: 'not {b}'\n")])
    warnings = make_plan(file, card=CARD, check_prompts=lost).warnings
    assert len(warnings) == 51
    assert {problem.line for problem in warnings} == {2}
    assert warnings[-1].message == "and 10 more prompts like these"


def test_a_million_million_images_are_counted_and_only_made_when_a_number_is_given(tmp_path: Path):
    text = 'prompt: "' + " ".join(f"{{a{number}}}" for number in range(12)) + '"\naxes:\n'
    text += "".join(f"  a{number}: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n" for number in range(12))
    path = write(tmp_path, text)
    began = time.process_time()
    plan = plan_of(path)
    assert time.process_time() - began < 0.5
    assert plan.count == 10**12
    assert codes(plan) == ["too-many-images"]
    with pytest.raises(InputRefused, match=r"1,000,000,000,000 images .* sample: \{method: random, count: 24\}"):
        plan.check_size()
    assert len(list(islice(plan.requests(), 3))) == 3
    for asked in (plan_of(path, limit=MAX_IMAGES + 1), plan_of(path, "sample={method: random, count: 20000}")):
        asked.check_size()
        assert "too-many-images" not in codes(asked)


def test_ten_thousand_images_need_no_asking(tmp_path: Path):
    plan = plan_of("a", f"seeds={MAX_IMAGES}")
    plan.check_size()
    with pytest.raises(InputRefused):
        plan_of("a", f"seeds={MAX_IMAGES + 1}").check_size()


def test_an_estimate_grows_with_images_and_pixels(tmp_path: Path):
    small, large = plan_of("a", "seeds=10", "sizes=[512x512]"), plan_of("a", "seeds=10", "sizes=[1024x1024]")
    assert small.estimate(2.5).seconds == 25
    assert large.estimate(1).disk_bytes == pytest.approx(4 * small.estimate(1).disk_bytes, rel=0.01)


def test_the_model_of_the_file_is_found_when_no_card_is_given():
    (file,) = read_prompts(["a {red|blue} can"], overrides=["model=draft"])
    assert make_plan(file).card == DRAFT_CARD
    with pytest.raises(ModelRefused):
        make_plan(read_prompts(["a"], overrides=["model=no-such-model"])[0])


def test_planning_imports_neither_torch_nor_anything_that_does(tmp_path: Path):
    script = (
        "import sys; from designkit.batch.plan import make_plan, read_prompts\n"
        "(file,) = read_prompts(['a {red|blue} can'], overrides=['model=draft'])\n"
        "list(make_plan(file).requests())\n"
        "print([name for name in ('torch', 'numpy', 'diffusers', 'transformers', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_requests_stream_in_little_memory(tmp_path: Path):
    # In a process of its own, whose memory is only this plan's.
    script = (
        "import resource, sys; from collections import deque; from itertools import islice\n"
        "from designkit.batch.plan import make_plan, read_prompts\n"
        "(file,) = read_prompts(['{0|1|2|3|4|5|6|7|8|9}' * 12], overrides=['model=draft'])\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "deque(islice(make_plan(file).requests(), 30_000), maxlen=0)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 30_000


@pytest.mark.parametrize("path", sorted((ROOT / "prompts").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_example_files_make_at_least_twelve_variants_without_a_warning(path: Path):
    plan = plan_of(str(path), "sizes=[128x128]")
    assert plan.num_variants >= 12
    assert plan.warnings == ()
    assert all(re.fullmatch(r"[0-9a-f]{16}", request.id) for request in plan.requests())
