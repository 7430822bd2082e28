"""The adapters of a prompt file, checked before anything is drawn: are they there, of this model, with which words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from designkit.errors import ModelRefused, Problem
from designkit.generators.base import ModelCard
from designkit.prompts.file import PromptFile
from designkit.values import Adapter


def check_adapters(file: PromptFile, card: ModelCard) -> None:
    """Raise ModelRefused for every adapter that is missing, is none, or was learned for another kind of model."""
    problems: list[Problem] = []
    for adapter in file.model.adapters:
        try:
            adapter_fingerprint(adapter)
        except ModelRefused as error:
            for problem in error.problems:
                message = f"{adapter.path}: {problem.message}"
                problems.append(file.problem(problem.code, message, key="model.adapters", fix=problem.fix))
            continue
        other = _origin(adapter).get("designkit.pipeline")
        if other and card.pipeline and other != card.pipeline:
            message = f"{adapter.path} was learned for {_kind(other)}; {card.name} is {_kind(card.pipeline)}"
            fix = "take it with a model of its kind, or teach this one: designkit finetune PICTURES --model NAME"
            problems.append(file.problem("adapter-other-model", message, key="model.adapters", fix=fix))
    if problems:
        raise ModelRefused(problems)


def adapter_warnings(file: PromptFile, card: ModelCard) -> Iterator[Problem]:
    """Adapters that were learned from another state of the model than the one that is to draw."""
    for adapter in file.model.adapters:
        revision = _origin(adapter).get("designkit.model_revision")
        if revision and revision != card.revision:
            message = f"{adapter.path} was learned from other weights ({revision[:12]}) than {card.name} has now"
            fix = "look whether it still shows; else teach it anew with designkit finetune"
            yield file.problem("adapter-other-weights", message, key="model.adapters", fix=fix)


def adapter_fingerprint(adapter: Adapter) -> str:
    """What stands for an adapter in the ids of images: its file's content. Raises ModelRefused."""
    from designkit.generators.adapters import adapter_file
    from designkit.generators.weights import fingerprint

    path = adapter_file(adapter)
    return fingerprint([path], path.parent)


def without_learned_words(found: Sequence[Problem], file: PromptFile) -> list[Problem]:
    """What a model will not make of prompts, but for words that one of the file's adapters has taught it."""
    from designkit.generators.adapters import learned_captions

    if not file.model.adapters or not any(problem.code == "unknown-word" for problem in found):
        return list(found)
    captions = " ".join(text for adapter in file.model.adapters for text in learned_captions(adapter))
    known = set(re.findall(r"[\w'-]+", captions.lower()))

    def is_learned(problem: Problem) -> bool:
        quoted = re.search(r"'([^']+)'", problem.message)
        return problem.code == "unknown-word" and quoted is not None and quoted[1].lower() in known

    return [problem for problem in found if not is_learned(problem)]


def _origin(adapter: Adapter) -> dict[str, str]:
    from designkit.generators.adapters import adapter_file
    from designkit.generators.weights import read_metadata

    return read_metadata(adapter_file(adapter))


def _kind(pipeline: str) -> str:
    """A pipeline's class as people name the model."""
    return pipeline.removesuffix("Pipeline")
