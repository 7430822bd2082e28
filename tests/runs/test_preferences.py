"""Strengths agree with closed forms, their intervals hold what they promise, and chosen pairs tell more than random."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest

from designkit.runs.preferences import (
    Contest,
    Strength,
    contests_of,
    next_pair,
    rank_axis_values,
    rank_items,
    vote_information,
)
from designkit.runs.reviews import Vote

FREE = 200.0  # A prior so wide that it says nothing.


def games(left: str, right: str, won: int, lost: int, tied: int = 0) -> list[Contest]:
    scores = [1.0] * won + [0.0] * lost + [0.5] * tied
    return [Contest(left=left, right=right, score=score) for score in scores]


def values(ranking: list[Strength]) -> dict[str, float]:
    return {strength.name: strength.value for strength in ranking}


@pytest.mark.parametrize(("won", "lost", "tied"), [(3, 1, 0), (10, 30, 0), (2, 2, 5), (4, 1, 2)])
def test_two_items_differ_by_the_log_of_their_odds_with_the_binomial_interval(won: int, lost: int, tied: int) -> None:
    ranking = rank_items(games("a", "b", won, lost, tied), prior_spread=FREE)
    strengths = {strength.name: strength for strength in ranking}
    wins, losses = won + tied / 2, lost + tied / 2
    difference = strengths["a"].value - strengths["b"].value
    assert difference == pytest.approx(math.log(wins / losses), abs=1e-4)
    # The variance of log odds is 1 / (n p (1 - p)); each lies half the difference from their average.
    deviation = math.sqrt(1 / wins + 1 / losses) / 2
    assert strengths["a"].high - strengths["a"].value == pytest.approx(1.959964 * deviation, rel=1e-3)
    assert (strengths["a"].num_won, strengths["a"].num_lost, strengths["a"].num_tied) == (won, lost, tied)
    assert (strengths["b"].num_won, strengths["b"].num_lost) == (lost, won)


def test_a_chain_of_three_adds_up_the_log_odds() -> None:
    contests = games("a", "b", 6, 2) + games("b", "c", 9, 3)
    found = values(rank_items(contests, prior_spread=FREE))
    assert found["a"] - found["b"] == pytest.approx(math.log(3), abs=1e-3)
    assert found["b"] - found["c"] == pytest.approx(math.log(3), abs=1e-3)
    assert sum(found.values()) == pytest.approx(0, abs=1e-8)


def test_one_win_under_the_prior_solves_its_own_equation() -> None:
    # At the mode u = s^2 (1 - 1 / (1 + exp(-2 u))) for the winner, and -u for the loser.
    spread = 1.5
    winner, loser = rank_items(games("a", "b", 1, 0), prior_spread=spread)
    assert winner.value == pytest.approx(spread**2 / (1 + math.exp(2 * winner.value)), abs=1e-9)
    assert loser.value == pytest.approx(-winner.value, abs=1e-9)
    assert winner.low < 0 < winner.value < winner.high


def test_the_likelihood_equations_hold_and_order_and_sides_do_not_matter() -> None:
    chance = random.Random(3)
    contests = [
        Contest(left=left, right=right, score=chance.choice([0, 0.5, 1]))
        for left, right in itertools.permutations("abcdef", 2)
    ]
    found = values(rank_items(contests))
    for name in "abcdef":
        slope = sum(
            sign * (contest.score - 1 / (1 + math.exp(found[contest.right] - found[contest.left])))
            for contest in contests
            for sign, side in ((1, contest.left), (-1, contest.right))
            if side == name
        )
        assert slope == pytest.approx(found[name] / 1.5**2, abs=1e-8)
    turned = [Contest(left=each.right, right=each.left, score=1 - each.score) for each in reversed(contests)]
    assert values(rank_items(turned)) == pytest.approx(found, abs=1e-9)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    chance = np.random.default_rng(11)
    held = total = 0
    for _ in range(60):
        truth = chance.normal(0, 1.5, 12)
        contests = []
        for _ in range(150):
            one, two = chance.choice(12, 2, replace=False)
            is_won = chance.random() < 1 / (1 + math.exp(truth[two] - truth[one]))
            contests.append(Contest(left=str(one), right=str(two), score=float(is_won)))
        centred = truth - truth.mean()
        for strength in rank_items(contests):
            held += strength.low <= centred[int(strength.name)] <= strength.high
            total += 1
    assert 0.92 <= held / total <= 0.98


def test_an_axis_value_is_not_praised_for_the_company_it_was_seen_in() -> None:
    # Only the scene matters, but teal pictures are mostly cans.
    chance = random.Random(4)
    items = [("can", "teal")] * 9 + [("jar", "teal")] + [("can", "red")] + [("jar", "red")] * 9
    choices = {str(number): {"product": product, "scene": scene} for number, (product, scene) in enumerate(items)}
    contests = []
    for _ in range(3000):
        one, two = chance.sample(sorted(choices), 2)
        margin = 1.5 * ((choices[one]["scene"] == "teal") - (choices[two]["scene"] == "teal"))
        contests.append(Contest(left=one, right=two, score=float(chance.random() < 1 / (1 + math.exp(-margin)))))
    ranking = rank_axis_values(contests, choices)
    scene, product = ranking["scene"], ranking["product"]
    assert [strength.name for strength in scene] == ["teal", "red"]
    assert scene[0].low <= 0.75 <= scene[0].high
    assert 0.65 <= scene[0].value <= 0.85
    assert all(strength.low <= 0 <= strength.high for strength in product)
    # Counted by itself the can wins far more often than not.
    can = next(strength for strength in product if strength.name == "can")
    assert can.num_won > 1.8 * can.num_lost


def test_axes_without_a_difference_are_left_out_and_missing_values_are_values() -> None:
    choices = {"1": {"scene": "teal", "style": "flat"}, "2": {"scene": "teal"}}
    ranking = rank_axis_values(games("1", "2", 2, 1), choices)
    assert {axis: [strength.name for strength in each] for axis, each in ranking.items()} == {"style": ["flat", ""]}
    assert rank_axis_values([], {}) == {}
    assert rank_items([]) == []


def test_skipped_votes_are_no_contests() -> None:
    said = dict.fromkeys(("act", "time", "reviewer"), "")
    votes = [Vote(**said, left="a", right="b", result=result) for result in ("left", "right", "tie", "skip")]
    assert [contest.score for contest in contests_of(votes)] == [1.0, 0.0, 0.5]


def test_the_information_of_a_vote_is_that_of_its_definition() -> None:
    """Entropy of the average minus average of the entropies, by numerical integration over the difference."""
    for mean, variance in ((0.0, 0.01), (0.0, 4.5), (1.0, 2.0), (-3.0, 1.0)):
        grid = np.linspace(-12, 12, 20001)
        weight = np.exp(-((grid - mean) ** 2) / (2 * variance))
        weight /= weight.sum()
        odds = 1 / (1 + np.exp(-grid))
        entropy = -(odds * np.log2(odds) + (1 - odds) * np.log2(1 - odds))
        average = float(weight @ odds)
        expected = -(average * math.log2(average) + (1 - average) * math.log2(1 - average)) - float(weight @ entropy)
        found = float(vote_information(np.array([mean]), np.array([variance]))[0])
        assert found == pytest.approx(expected, abs=0.02)


def test_chosen_pairs_rank_better_than_random_ones() -> None:
    def error(is_chosen: bool, seed: int) -> float:
        chance = random.Random(seed)
        truth = {f"{number}": chance.gauss(0, 1.5) for number in range(14)}
        contests: list[Contest] = []
        for _ in range(70):
            pair = next_pair(truth, contests, chance) if is_chosen else tuple(chance.sample(sorted(truth), 2))
            assert pair is not None
            is_won = chance.random() < 1 / (1 + math.exp(truth[pair[1]] - truth[pair[0]]))
            contests.append(Contest(left=pair[0], right=pair[1], score=float(is_won)))
        found = values(rank_items(contests))
        pairs = list(itertools.combinations(truth, 2))
        wrong = sum((truth[i] - truth[j]) * (found.get(i, 0) - found.get(j, 0)) <= 0 for i, j in pairs)
        return wrong / len(pairs)

    chosen, at_random = ([error(is_chosen, seed) for seed in range(24)] for is_chosen in (True, False))
    assert np.mean(chosen) < 0.95 * np.mean(at_random)


def test_pairs_have_random_sides_and_avoid_what_is_to_be_avoided() -> None:
    chance = random.Random(0)
    sides = [next_pair(["a", "b"], [], chance) for _ in range(200)]
    assert 70 <= sides.count(("a", "b")) <= 130
    assert next_pair(["a", "b"], [], chance, avoid=[frozenset("ab")]) is None
    assert set(next_pair(["a", "b", "c"], [], chance, avoid=[frozenset("ab"), frozenset("ac")]) or ()) == {"b", "c"}
    assert next_pair(["a"], [], chance) is None
    many = [str(number) for number in range(5000)]
    assert next_pair(many, games("1", "2", 1, 0), chance) is not None
