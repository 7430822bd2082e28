"""What methods ask of captions: DreamBooth's rare word and class, the word that textual inversion learns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from designkit.errors import InputRefused, Problem
from designkit.training.finetuning.pictures import BrandPictures, Example
from designkit.training.finetuning.recipe import FinetuneRecipe

_WORD = re.compile(r"<[a-z0-9]+(-[a-z0-9]+)*>|[a-z0-9]+(-[a-z0-9]+)*")


def check_wording(recipe: FinetuneRecipe) -> None:
    """Raise InputRefused where the recipe's prompts or word are not what its method needs; looks at no picture."""
    problems: list[Problem] = []
    if recipe.method == "dreambooth":
        problems += _dreambooth_problems(recipe)
    if recipe.method == "textual-inversion" and not _WORD.fullmatch(learned_word(recipe)):
        problems.append(
            Problem(
                code="learned-word", key="word", message=f"{recipe.word!r} is no single word in small letters",
                fix="write letters, digits and hyphens, such as --set word='<lumen>'; the brackets keep it apart from "
                "words that the model knows",
            )
        )  # fmt: skip
    if problems:
        raise InputRefused(problems)


def worded(brand: BrandPictures, recipe: FinetuneRecipe) -> BrandPictures:
    """The pictures with captions as the method learns from them.

    Textual inversion puts its word before captions that lack it. Raises InputRefused with every picture whose caption
    lacks DreamBooth's rare word.
    """
    if recipe.method == "textual-inversion":
        word = learned_word(recipe)
        return replace(
            brand,
            training=tuple(_with_word(example, word) for example in brand.training),
            held_out=tuple(_with_word(example, word) for example in brand.held_out),
        )
    if recipe.method == "dreambooth":
        rare = rare_words(recipe)
        lacking = [each for each in (*brand.training, *brand.held_out) if not rare <= _words(each.caption)]
        if lacking:
            lacking.sort(key=lambda each: each.item.name)
            raise InputRefused([_lacks_word(example, rare) for example in lacking])
    return brand


def rare_words(recipe: FinetuneRecipe) -> frozenset[str]:
    """The words of the instance prompt that the class prompt has not: those that come to mean the brand."""
    data = recipe.data
    return _words(data.instance_prompt or "") - _words(data.class_prompt or "")


def learned_word(recipe: FinetuneRecipe) -> str:
    """The word that textual inversion learns: the recipe's, or its name in angle brackets."""
    if recipe.word is not None:
        return recipe.word
    name = re.sub(r"[^a-z0-9]+", "-", recipe.name.lower()).strip("-").removesuffix("textual-inversion").strip("-")
    return f"<{name or 'brand'}>"


def _dreambooth_problems(recipe: FinetuneRecipe) -> Iterator[Problem]:
    data = recipe.data
    fix = "such as --instance-prompt 'a zvx soda can' --set data.class_prompt='a soda can'"
    missing = [name for name in ("instance_prompt", "class_prompt") if not (getattr(data, name) or "").strip()]
    if missing:
        yield Problem(
            code="dreambooth-prompts", key=f"data.{missing[0]}",
            message=f"dreambooth needs {' and '.join(missing)}: the one says a rare word and what your pictures show, "
            "the other the same without the word",
            fix=f"add what is missing, {fix}",
        )  # fmt: skip
    elif not rare_words(recipe):
        yield Problem(
            code="dreambooth-prompts", key="data.instance_prompt",
            message=f"{data.instance_prompt!r} has no word that the class prompt {data.class_prompt!r} has not, so "
            "nothing would come to mean your pictures",
            fix=f"add a rare word, {fix}",
        )  # fmt: skip


def _lacks_word(example: Example, rare: frozenset[str]) -> Problem:
    said = " and ".join(sorted(rare))
    return Problem(
        code="caption-lacks-word", file=example.item.name,
        message=f"its caption does not say {said}: {example.caption!r}",
        fix=f"add {said} to it, or remove the caption, so that data.instance_prompt stands in its place",
    )  # fmt: skip


def _with_word(example: Example, word: str) -> Example:
    # In one spelling: what unfolds a word of several vectors looks for these very letters.
    said = re.sub(re.escape(word), word, example.caption, flags=re.IGNORECASE)
    return replace(example, caption=said if word in said else f"{word}, {said}")


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[\w'-]+", text.lower()))
