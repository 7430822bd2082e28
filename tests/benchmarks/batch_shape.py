# pyright: basic
"""What the fixed shape of batches costs, and what another shape changes in the pictures.

    python tests/benchmarks/batch_shape.py [--model starter] [--steps 20] [--images 24]

Every call draws the same number of pictures, the last one padded, so that no picture depends on how many there
are. That costs the padding; drawing in another shape changes the last bits of some numbers.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from typing import Literal

import numpy as np

SHAPES = (1, 2, 4, 8)
COUNTS = (1, 3, 5, 13, 37, 101)


def main() -> None:
    """Measure and print; see the module's description."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--images", type=int, default=24, help="pictures to compare between shapes")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print_cost(options)
    for precision in ("fp32", "bf16"):
        print_differences(options, precision)


def print_cost(options: argparse.Namespace) -> None:
    """Seconds of a call by its shape, and what padding adds to runs of several lengths."""
    seconds = {shape: statistics.median(times(options, shape)) for shape in SHAPES}
    print("One call on one thread, by the number of pictures in it:")
    for shape, value in seconds.items():
        print(f"  {shape}: {value:6.3f} s, {value / shape:6.3f} s a picture")
    from designkit.generators import open_generator

    fixed = int(str(open_generator(options.model).settings["batch_size"]))
    print(f"Padding to {fixed} against a last call of just the pictures that are left:")
    for count in COUNTS:
        padded = math.ceil(count / fixed) * seconds[fixed]
        left = count % fixed
        # A call of three is taken to cost what lies between calls of two and four.
        rest = np.interp(left, [0, *SHAPES], [0.0, *seconds.values()])
        print(f"  {count:4} pictures: {padded / (count // fixed * seconds[fixed] + rest):.3f} times the time")


def times(options: argparse.Namespace, shape: int) -> list[float]:
    """Seconds of single calls that draw `shape` pictures, after one that does not count."""
    from designkit.generators import open_generator

    generator = open_generator(options.model, batch_size=shape, threads=1)
    found = []
    for _ in range(options.rounds + 1):
        started = time.perf_counter()
        list(generator.generate([ask(generator.card, number, options.steps) for number in range(shape)]))
        found.append(time.perf_counter() - started)
    return found[1:]


def print_differences(options: argparse.Namespace, precision: Literal["fp32", "bf16"]) -> None:
    """How far pictures drawn in other shapes are from those drawn one at a time, in grey levels."""
    from designkit.generators import open_generator

    drawn = {}
    for shape in SHAPES:
        generator = open_generator(options.model, batch_size=shape, threads=1, precision=precision)
        requests = [ask(generator.card, number, options.steps) for number in range(options.images)]
        pictures = {image.request.id: np.asarray(image.image, np.int16) for image in generator.generate(requests)}
        drawn[shape] = np.stack([pictures[request.id] for request in requests])
    print(f"{precision}: {options.images} pictures, each shape against one picture a call:")
    for shape in SHAPES[1:]:
        difference = np.abs(drawn[shape] - drawn[1])
        shares = " ".join(f"{(difference == level).mean():.4%}" for level in range(1, difference.max() + 1))
        print(
            f"  {shape}: largest difference {difference.max()} grey levels; share of values by it: {shares or 'none'}"
        )


def ask(card, number: int, steps: int):
    """A request at the model's first native size."""
    from designkit.values import ImageRequest

    size = card.native_sizes[0]
    return ImageRequest(
        id=str(number), prompt=f"a red lemon number {number}", size=size, drawn=size, seed=number, steps=steps,
        guidance=card.default_guidance,
    )  # fmt: skip


if __name__ == "__main__":
    main()
