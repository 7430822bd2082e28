"""Ids are what hashing the whole content as JSON gives, however their parts are put together."""

from __future__ import annotations

import json
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from designkit.batch.ids import Identity
from designkit.batch.plan import make_plan, read_prompts
from designkit.generators.catalog import DRAFT_CARD
from designkit.values import Size

SIZES = st.builds(Size, width=st.integers(1, 9999), height=st.integers(1, 9999))
WORDS = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    prompt=WORDS,
    negative=WORDS,
    size=SIZES,
    drawn=SIZES,
    seeds=st.lists(st.integers(0, 2**32 - 1), max_size=3),
    steps=st.none() | st.integers(1, 1000),
    guidance=st.none() | st.floats(0, 100) | st.integers(0, 100),
    scheduler=st.none() | WORDS,
    adapters=st.lists(st.tuples(WORDS, st.floats(-10, 10)), max_size=2),
    variant=st.none() | WORDS,
)
def test_an_id_is_the_hash_of_the_content_as_json(
    prompt, negative, size, drawn, seeds, steps, guidance, scheduler, adapters, variant
):
    identity = Identity(DRAFT_CARD, variant=variant)
    found = list(identity.ids(
        seeds, prompt=prompt, negative=negative, size=size, drawn=drawn, steps=steps, guidance=guidance,
        scheduler=scheduler, adapters=adapters,
    ))  # fmt: skip
    for seed, name in found:
        content = {
            "prompt": prompt,
            "negative": negative,
            "size": [size.width, size.height],
            "drawn": [drawn.width, drawn.height],
            "seed": seed,
            "steps": steps,
            "guidance": guidance,
            "scheduler": scheduler,
            "adapters": [list(adapter) for adapter in adapters],
            "model": [DRAFT_CARD.family, DRAFT_CARD.revision, variant],
        }
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert name == sha256(canonical.encode()).hexdigest()[:16]
    assert [seed for seed, _ in found] == seeds


def test_equal_numbers_that_are_written_differently_keep_their_own_ids():
    identity = Identity(DRAFT_CARD, variant=None)
    square = Size(width=8, height=8)

    def name(guidance: float) -> str:
        settings = {"size": square, "drawn": square, "steps": None, "guidance": guidance, "scheduler": None}
        ((_, found),) = identity.ids([0], prompt="a", negative="", **settings)  # type: ignore[arg-type]
        return found

    assert name(4) != name(4.0) == name(4.0)


def test_ids_are_those_of_the_first_version():
    # Noted before ids were put together from parts: another id would make everyone's pictures anew.
    (file,) = read_prompts(["a {red|blue} {cat|dog {big|small}}"], overrides=["model=draft"])
    assert [request.id for request in make_plan(file).requests()] == [
        "328a8ed360b1e323",
        "46d3f743603f2982",
        "d5fb60d4c6e6c13b",
        "0546576196ee6666",
        "79ab0125151f4097",
        "dc6702427d262cbe",
    ]
