"""What varies in a prompt as factors with levels: which of them are in play together, and what is ruled out.

A *factor* is an axis or a choice, its *levels* are its values, numbered from 0. A row gives each factor a level, or
`UNUSED` where another choice left it out of the prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

UNUSED = -1
MAX_TRIES = 20_000

Row = tuple[int, ...]

Ranking = Callable[[int, Sequence[int]], Iterable[int]]
"""The levels of a factor, the best first, given the levels that others have so far."""


class TooEntangled(Exception):
    """What is ruled out overlaps in more ways than can be searched."""


@dataclass(frozen=True, kw_only=True)
class Factors:
    """The factors of a prompt.

    `sizes` holds how many levels each has. `reached_by` holds, for a factor that not every row uses, the levels (as
    factor and level) of which any one brings it into play; None means always. A rule rules out every row
    whose levels are in all of its sets. `weights` holds how often each level is to be drawn; None means equally.
    """

    sizes: tuple[int, ...]
    reached_by: tuple[frozenset[tuple[int, int]] | None, ...] = ()
    rules: tuple[Mapping[int, frozenset[int]], ...] = ()

    @cached_property
    def are_independent(self) -> bool:
        """Whether every row of levels is allowed."""
        return not self.rules and not any(self.reached_by)

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """How many factors must be known before it is known whether each is in play; 0 for those that always are."""
        depths: dict[int, int] = {}

        def depth(factor: int) -> int:
            if factor not in depths:
                above = self.reached_by[factor] if self.reached_by else None
                depths[factor] = 0 if above is None else 1 + max((depth(other) for other, _ in above), default=0)
            return depths[factor]

        return tuple(depth(factor) for factor in range(len(self.sizes)))

    @cached_property
    def rules_of(self) -> tuple[tuple[Mapping[int, frozenset[int]], ...], ...]:
        """The rules that speak of each factor."""
        return tuple(tuple(rule for rule in self.rules if factor in rule) for factor in range(len(self.sizes)))

    @cached_property
    def has_below(self) -> tuple[bool, ...]:
        """Whether the level of each factor decides which others are in play."""
        above = {factor for reached in self.reached_by for factor, _ in reached or ()}
        return tuple(factor in above for factor in range(len(self.sizes)))

    def is_used(self, factor: int, row: Sequence[int]) -> bool:
        """Whether the levels of the factors above bring one into play."""
        reached = self.reached_by[factor] if self.reached_by else None
        return reached is None or any(row[other] == level for other, level in reached)

    def is_ruled_out(self, factor: int, level: int, row: Sequence[int]) -> bool:
        """Whether a level completes what a rule rules out."""
        return any(
            level in rule[factor] and all(row[other] in levels for other, levels in rule.items() if other != factor)
            for rule in self.rules_of[factor]
        )

    def fill(self, wanted: Mapping[int, int], order: Sequence[int], ranked: Ranking) -> Row | None:
        """A row with the levels that are wanted, the rest by rank, factor by factor in `order`; None if there is none.

        `order` names every factor, those that bring others into play before these. Raises TooEntangled.
        """
        for levels in self._reaching(dict(wanted)):
            row = self._search(levels, order, ranked)
            if row is not None:
                return row
        return None

    def _reaching(self, wanted: dict[int, int]) -> Iterator[dict[int, int]]:
        """Every way to bring the factors into play whose levels are wanted."""
        for factor in wanted:
            reached = self.reached_by[factor] if self.reached_by else None
            if reached is not None and not any(wanted.get(other) == level for other, level in reached):
                for other, level in sorted(reached):
                    if other not in wanted:
                        yield from self._reaching({**wanted, other: level})
                return
        yield wanted

    def _search(self, wanted: Mapping[int, int], order: Sequence[int], ranked: Ranking) -> Row | None:
        """Depth-first, with the untried levels of each factor on a stack."""
        row = [UNUSED] * len(self.sizes)
        stack: list[Iterator[int]] = []
        # Wanted levels are seen by the rules from the start, so that what they rule out is not tried.
        for factor, level in wanted.items():
            if self.is_ruled_out(factor, level, row):
                return None
            row[factor] = level
        num_tries = 0
        while len(stack) < len(order):
            stack.append(self._levels(order[len(stack)], row, wanted, ranked))
            while stack:
                num_tries += 1
                if num_tries > MAX_TRIES:
                    raise TooEntangled
                factor = order[len(stack) - 1]
                level = next(stack[-1], None)
                if level is not None:
                    row[factor] = level
                    break
                if factor not in wanted:
                    row[factor] = UNUSED
                stack.pop()
            else:
                return None
        return tuple(row)

    def _levels(self, factor: int, row: list[int], wanted: Mapping[int, int], ranked: Ranking) -> Iterator[int]:
        if factor in wanted:
            return iter((wanted[factor],) if self.is_used(factor, row) else ())
        if not self.is_used(factor, row):
            return iter((UNUSED,))
        if not self.rules_of[factor]:
            return iter(ranked(factor, row))
        row[factor] = UNUSED
        return (level for level in ranked(factor, row) if not self.is_ruled_out(factor, level, row))
