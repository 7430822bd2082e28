"""The id of a request: a hash of everything that sets the pixels, and of nothing else.

Hashed is JSON with sorted keys, without spaces, its letters as they are:

    {"adapters":[],"drawn":[512,512],"guidance":4.0,"model":["stable-diffusion","abc",null],"negative":"",
     "prompt":"a can","scheduler":null,"seed":0,"size":[512,512],"steps":20}

The id is the first 16 hexadecimal digits of its SHA-256. Everything but the words and the seed is written once for all
requests that share it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from json.encoder import encode_basestring  # type: ignore[attr-defined]
from typing import Any

from designkit.generators.base import ModelCard
from designkit.values import Size

ID_DIGITS = 16


class Identity:
    """Finds the ids of requests for one model; models and adapters count by what they are, not by where they lie."""

    def __init__(self, card: ModelCard, *, variant: str | None) -> None:
        self._model = [card.family, card.revision, variant]
        self._frames: dict[object, tuple[str, str, str]] = {}

    def ids(
        self,
        seeds: Iterable[int],
        *,
        prompt: str,
        negative: str,
        size: Size,
        drawn: Size,
        steps: int | None,
        guidance: float | None,
        scheduler: str | None,
        adapters: Sequence[tuple[str, float]] = (),
    ) -> Iterator[tuple[int, str]]:
        """Each seed with the id of its request; `adapters` are fingerprints and weights."""
        # 20 and 20.0 are equal, but written differently.
        key = (
            size.width,
            size.height,
            drawn.width,
            drawn.height,
            steps,
            guidance,
            type(guidance),
            scheduler,
            *adapters,
        )
        frame = self._frames.get(key)
        if frame is None:
            frame = self._frames[key] = self._frame(size, drawn, steps, guidance, scheduler, adapters)
        before, between, after = frame
        words = f'{before}{encode_basestring(negative)},"prompt":{encode_basestring(prompt)}{between}'
        for seed in seeds:
            yield seed, sha256(f"{words}{seed}{after}".encode()).hexdigest()[:ID_DIGITS]

    def _frame(
        self,
        size: Size,
        drawn: Size,
        steps: int | None,
        guidance: float | None,
        scheduler: str | None,
        adapters: Sequence[tuple[str, float]],
    ) -> tuple[str, str, str]:
        """What stands before the negative prompt, between prompt and seed, and after the seed."""
        first = {
            "adapters": [list(adapter) for adapter in adapters],
            "drawn": [drawn.width, drawn.height],
            "guidance": guidance,
            "model": self._model,
        }
        last = {"size": [size.width, size.height], "steps": steps}
        return (
            f'{_json(first)[:-1]},"negative":',
            f',"scheduler":{_json(scheduler)},"seed":',
            f",{_json(last)[1:]}",
        )


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
