"""The methods of fine-tuning as one table: what learns, how it is written, how it is read again.

    method = METHODS[recipe.method]
    learning = method.begin(pipeline, family, recipe)
    method.write(pipeline, learning, header, folder)
    with method.read_again(pipeline, learning, card, folder):
        ...

The loop, the task and the noise are the same for all of them.
"""

# pyright: basic
from __future__ import annotations

from collections.abc import Mapping

from designkit.training.finetuning.adapter_file import deliver_adapter, read_adapter_again, write_adapter
from designkit.training.finetuning.layer_updates import begin_lokr, begin_lora
from designkit.training.finetuning.learned_words import begin_word
from designkit.training.finetuning.learning import TunedMethod
from designkit.training.finetuning.recipe import Method
from designkit.training.finetuning.whole import begin_whole, deliver_whole, read_whole_again, write_whole

_LORA = TunedMethod(
    kind="lora", begin=begin_lora, write=write_adapter, read_again=read_adapter_again, deliver=deliver_adapter
)

METHODS: Mapping[Method, TunedMethod] = {
    "lora": _LORA,
    # What sets DreamBooth apart is what it learns from: a rare word, and the model's own pictures of the class.
    "dreambooth": _LORA,
    "lokr": TunedMethod(
        kind="lokr", begin=begin_lokr, write=write_adapter, read_again=read_adapter_again, deliver=deliver_adapter
    ),
    "textual-inversion": TunedMethod(
        kind="textual-inversion", begin=begin_word, write=write_adapter, read_again=read_adapter_again,
        deliver=deliver_adapter,
    ),
    "full": TunedMethod(
        kind="", begin=begin_whole, write=write_whole, read_again=read_whole_again, deliver=deliver_whole
    ),
}  # fmt: skip
"""One row a method; a test trains, saves and reloads each of them."""
