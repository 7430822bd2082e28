"""Orthogonal and covering arrays by algebra: few rows in which any two columns show every pair of their levels.

An array is a list of rows, a row one level (from 0) a column. In an orthogonal array of `levels` ** 2 rows every two
columns show each pair exactly once, so no smaller array covers the pairs.
"""

from __future__ import annotations

from itertools import combinations, product
from math import comb

Array = list[tuple[int, ...]]

MAX_LEVELS = 101
"""Larger fields are not looked for: their arrays would have more rows than anyone draws."""


def orthogonal_array(num_columns: int, levels: int) -> Array | None:
    """An orthogonal array of strength two with `levels` ** 2 rows, None where none is known here.

    Prime powers q give up to q + 1 columns (lines over the field of order q, Bose 1938), products of them as many
    as their smallest part (MacNeish 1922), order ten gives four (Parker 1959), and every order gives three.
    """
    parts = _prime_powers(levels)
    if levels > MAX_LEVELS or levels < 2:
        return None
    if num_columns <= min(parts) + 1:
        rows = _lines(parts[0])
        for part in parts[1:]:
            rows = [
                tuple(left * part + right for left, right in zip(first, second, strict=False))
                for first in rows
                for second in _lines(part)
            ]
        return [row[:num_columns] for row in rows]
    if num_columns <= 3:
        return [(x, y, (x + y) % levels)[:num_columns] for x in range(levels) for y in range(levels)]
    if num_columns <= 4 and levels == 10:
        return _parker()
    return None


def covering_array(num_columns: int, levels: int) -> Array | None:
    """A covering array of strength two by the best construction known here, None where there is none.

    Two levels: the smallest array that there is (Kleitman and Spencer 1973, Katona 1973). Otherwise an orthogonal
    array, or, for prime powers q and up to q (q + 1) + 1 columns, 2 q^2 - q rows (Stevens and Mendelsohn 1999).
    """
    if levels == 2:
        return _binary(num_columns)
    orthogonal = orthogonal_array(num_columns, levels)
    if orthogonal is not None:
        return orthogonal
    if len(_prime_powers(levels)) == 1 and levels <= MAX_LEVELS and num_columns <= levels * (levels + 1) + 1:
        return [row[:num_columns] for row in _stacked(levels)]
    return None


def num_binary_rows(num_columns: int) -> int:
    """The least number of rows in which that many columns of two levels show every pair (Kleitman and Spencer 1973)."""
    if num_columns < 2:
        return 2
    rows = 4
    while comb(rows - 1, (rows + 1) // 2) < num_columns:
        rows += 1
    return rows


def _binary(num_columns: int) -> Array:
    """A row of zeros above columns with equally many ones, so many that any two meet."""
    num_rows = num_binary_rows(num_columns)
    columns: list[tuple[int, ...]] = []
    for ones in combinations(range(1, num_rows), (num_rows + 1) // 2):
        columns.append(tuple(int(row in ones) for row in range(num_rows)))
        if len(columns) == num_columns:
            break
    return list(zip(*columns, strict=True))


def _lines(order: int) -> Array:
    """q^2 rows of q + 1 columns: the values m x + y for each slope m, then x. The first q rows (x = 0) are constant."""
    add, multiply = _field(order)
    numbers = range(order)
    return [(*(add[multiply[slope][x]][y] for slope in numbers), x) for x in numbers for y in numbers]


def _stacked(order: int) -> Array:
    """2 q^2 - q rows of q (q + 1) + 1 columns.

    Each of the q + 1 columns of the lines stands q times side by side. Its copies differ in the rows below: the lines
    without their constant rows, whose q columns show every pair of different values. The lines' last column adds one.
    """
    lines = _lines(order)
    above = [(*(value for value in row for _ in range(order)), 0) for row in lines]
    below = [(*(row[:order] * (order + 1)), row[order]) for row in lines[order:]]
    return above + below


def _parker() -> Array:
    """Order ten from seven: three columns of differences over the integers modulo 7, each turned four ways, with a gap.

    The differences of neighbours are 1 to 6 once each, and so are those across; each gap takes a number of its own, and
    the rows of those three numbers among themselves are an orthogonal array of order three.
    """
    rows = [(shift,) * 4 for shift in range(7)]
    for gap, (second, third) in enumerate(((1, 4), (2, 1), (4, 2))):
        for turn, shift in product(range(4), range(7)):
            row = (7 + gap, shift, (second + shift) % 7, (third + shift) % 7)
            rows.append((*row[turn:], *row[:turn]))  # type: ignore[arg-type]
    return [*rows, *((7 + a, 7 + b, 7 + c, 7 + d) for a, b, c, d in _lines(3))]


def _prime_powers(number: int) -> list[int]:
    """The prime powers that a number is the product of, the smallest first."""
    powers: list[int] = []
    factor = 2
    while number > 1:
        power = 1
        while number % factor == 0:
            number //= factor
            power *= factor
        if power > 1:
            powers.append(power)
        factor += 1
    return sorted(powers)


def _field(order: int) -> tuple[list[list[int]], list[list[int]]]:
    """Tables of addition and multiplication of the field with a prime power of elements.

    Elements are polynomials over the prime field, written as numbers with its base; they multiply modulo the first
    monic polynomial that leaves no product of two non-zero elements zero.
    """
    prime = next(number for number in range(2, order + 1) if order % number == 0)
    degree = next(number for number in range(1, order) if prime**number == order) if order > prime else 1
    digits = [tuple(number // prime**place % prime for place in range(degree)) for number in range(order)]
    number_of = {digit: number for number, digit in enumerate(digits)}
    add = [
        [number_of[tuple((x + y) % prime for x, y in zip(first, second, strict=True))] for second in digits]
        for first in digits
    ]
    for modulus in digits:
        multiply = [[number_of[_times(first, second, modulus, prime)] for second in digits] for first in digits]
        if all(all(row[1:]) for row in multiply[1:]):
            return add, multiply
    raise AssertionError(f"there is a field of every prime power, also of {order}")


def _times(first: tuple[int, ...], second: tuple[int, ...], modulus: tuple[int, ...], prime: int) -> tuple[int, ...]:
    """The product of two polynomials; `modulus` holds what x^degree is less than, so x^degree = -modulus."""
    degree = len(modulus)
    result = [0] * (2 * degree - 1)
    for place, x in enumerate(first):
        for other, y in enumerate(second):
            result[place + other] += x * y
    for place in range(2 * degree - 2, degree - 1, -1):
        for other, y in enumerate(modulus):
            result[place - degree + other] -= result[place] * y
    return tuple(value % prime for value in result[:degree])
