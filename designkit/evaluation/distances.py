# pyright: basic
"""How far two sets of pictures are from each other, given one row of features for each picture.

Every function takes arrays `[num_pictures, num_features]` and computes in float64. What the features are is the
extractor's affair (`extractors.py`); a score is only comparable with another of the same extractor, the same
resize filter and the same number of pictures.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from designkit.evaluation.resampling import Array, mean_interval, spread_interval

Measure = Callable[[Array, Array], float]

_NUM_SPLITS = 5
_WELL_CONDITIONED = 1e-5
_VERY_WELL_CONDITIONED = 1e-3


def frechet_distance(generated: Array, reference: Array) -> float:
    """Frechet distance of the Gaussians fitted to two sets; FID where the features are Inception's.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) (Dowson & Landau 1982; Heusel et al. 2017, arXiv 1706.08500, eq. 6).
    With centred factors A'A = C1 and B'B = C2 the trace of the root is the sum of the singular values of A B'. That
    needs no matrix square root: the result is real, never NaN, and right for fewer pictures than features too. Where
    both covariances are well conditioned, they are taken as roots of eigenvalues, which is four times as fast.
    Raises ValueError for fewer than two pictures, or different numbers of features.
    """
    generated, reference = _pair(generated, reference)
    first, second = _Spread.of(generated), _Spread.of(reference)
    product = first.factor @ second.factor.T
    if min(first.conditioning, second.conditioning) > _VERY_WELL_CONDITIONED:
        root_trace = np.sqrt(np.maximum(np.linalg.eigvalsh(product @ product.T), 0)).sum()
    else:
        root_trace = np.linalg.svd(product, compute_uv=False).sum()
    shift = first.mean - second.mean
    distance = shift @ shift + (first.factor**2).sum() + (second.factor**2).sum() - 2 * root_trace
    return max(0.0, float(distance))


def kernel_distance(
    generated: Array, reference: Array, *, num_subsets: int = 50, subset_size: int = 1000, seed: int = 0
) -> float:
    """Kernel distance: the unbiased estimate of the squared maximum mean discrepancy; KID on Inception features.

    The kernel is (x.y / num_features + 1)^3, and the mean is taken over random subsets (Binkowski et al. 2018, arXiv
    1801.01401, sections 3 and 4). Sets no larger than `subset_size` are taken whole, once. It is zero on average for
    two samples of the same pictures at any sample size, and can therefore be negative.
    """
    generated, reference = _pair(generated, reference)
    size = min(subset_size, len(generated), len(reference))
    if max(len(generated), len(reference)) <= subset_size:
        return _squared_discrepancy(generated, reference)
    rng = np.random.default_rng(seed)
    values = [
        _squared_discrepancy(
            generated[rng.choice(len(generated), size, replace=False)],
            reference[rng.choice(len(reference), size, replace=False)],
        )
        for _ in range(num_subsets)
    ]
    return float(np.mean(values))


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Four shares in [0, 1] (density may exceed 1) that tell good pictures apart from many kinds of pictures.

    precision: generated pictures within the reference's neighbourhoods; recall: reference pictures within
    the generated ones' neighbourhoods; density and coverage: the same two questions, robust against outliers.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def coverage_scores(
    generated: Array, reference: Array, *, precision_neighbours: int = 3, density_neighbours: int = 5
) -> Coverage:
    """Precision and recall, density and coverage: the means of `coverage_values`."""
    values = coverage_values(
        generated,
        reference,
        precision_neighbours=precision_neighbours,
        density_neighbours=density_neighbours,
    )
    return Coverage(**{name: float(each.mean()) for name, each in values.items()})


def coverage_values(
    generated: Array, reference: Array, *, precision_neighbours: int = 3, density_neighbours: int = 5
) -> dict[str, Array]:
    """What each picture adds to `coverage_scores`: generated ones to precision and density, reference ones to the rest.

    Kynkaanniemi et al. 2019 (arXiv 1904.06991), eq. 1 and 2; Naeem et al. 2020 (arXiv 2002.09797), eq. 3 and 4.
    A picture's neighbourhood is the ball to its k-th nearest other picture of its own set. Density is the number of
    reference balls around a generated picture, divided by k; coverage says of a reference ball whether a generated
    picture is in it. Raises ValueError where a set has no more pictures than neighbours.
    """
    generated, reference = _pair(generated, reference)
    most = max(precision_neighbours, density_neighbours)
    if min(len(generated), len(reference)) <= most:
        raise ValueError(f"at least {most + 1} pictures of each kind are needed")
    wide = neighbour_radii(reference, precision_neighbours)
    narrow = neighbour_radii(reference, density_neighbours)
    generated_radii = neighbour_radii(generated, precision_neighbours)
    distances = pairwise_distances(generated, reference)  # [generated, reference]
    precise: Array = np.asarray((distances <= wide[None]).any(axis=1), np.float64)
    recalled: Array = np.asarray((distances <= generated_radii[:, None]).any(axis=0), np.float64)
    within: Array = np.asarray((distances <= narrow[None]).sum(axis=1), np.float64)
    covered: Array = np.asarray(distances.min(axis=0) <= narrow, np.float64)
    return {"precision": precise, "recall": recalled, "density": within / density_neighbours, "coverage": covered}


def inception_score(probabilities: Array, *, num_splits: int = 1) -> float:
    """exp of the mean divergence between each picture's class probabilities and their mean (Salimans et al. 2016).

    `probabilities` is `[num_pictures, num_classes]`, rows that sum to 1; the score lies in [1, num_classes] (arXiv
    1606.03498, section 4). Over several splits, in the given order, the mean is returned.
    """
    probabilities = np.asarray(probabilities, np.float64)
    if probabilities.ndim != 2 or not np.allclose(probabilities.sum(axis=1), 1, atol=1e-3):
        raise ValueError("each row must hold class probabilities that sum to 1")
    scores: list[float] = []
    for part in np.array_split(probabilities, num_splits):
        marginal = part.mean(axis=0, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(part > 0, part * (np.log(part) - np.log(marginal)), 0.0)
        scores.append(float(np.exp(terms.sum(axis=1).mean())))
    return float(np.mean(scores))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A distance of two sets with all that is needed to judge it.

    `value` is of all pictures, `low` and `high` its bootstrap interval. `floor` is what two halves of the reference
    score against each other, and `value_at_floor` what generated pictures score against the reference, both
    at `floor_size` pictures a side: where the two are alike, the sets cannot be told apart at this size. They are
    None where the reference has too few pictures to be split.
    """

    value: float
    low: float
    high: float
    floor: float | None
    value_at_floor: float | None
    floor_size: int


def compare_frechet(generated: Array, reference: Array, *, seed: int = 0) -> Comparison:
    """`frechet_distance` with its interval and floor; the larger the sets, the fewer resamples (100 to 20)."""
    work = (len(generated) + len(reference)) * min(generated.shape[1], len(generated)) ** 2
    resamples = int(np.clip(2e11 / max(1, work), 20, 100))
    return _compare(frechet_distance, frechet_distance, generated, reference, seed, resamples)


def compare_kernel(generated: Array, reference: Array, *, seed: int = 0) -> Comparison:
    """`kernel_distance` with its interval and floor."""
    is_small = max(len(generated), len(reference)) <= 1000
    quick = partial(kernel_distance, num_subsets=5)
    return _compare(kernel_distance, quick, generated, reference, seed, 100 if is_small else 30)


def compare_coverage(generated: Array, reference: Array, *, seed: int = 0) -> dict[str, Comparison]:
    """The four scores of `coverage_scores` by name, with their intervals and floors.

    The interval is that of the mean over pictures, with the neighbourhoods as they are.
    """
    generated, reference = _pair(generated, reference)
    values = coverage_values(generated, reference)
    size, splits = _splits(len(generated), len(reference), seed)
    floors: list[Coverage] = []
    at_floors: list[Coverage] = []
    for chosen, half, other in splits if size > 5 else ():
        floors.append(coverage_scores(reference[half], reference[other]))
        at_floors.append(coverage_scores(generated[chosen], reference[other]))
    compared: dict[str, Comparison] = {}
    for name, each in values.items():
        mean = mean_interval(each, seed=seed)
        compared[name] = Comparison(
            value=mean.value,
            low=mean.low,
            high=mean.high,
            floor=float(np.mean([getattr(floor, name) for floor in floors])) if floors else None,
            value_at_floor=float(np.mean([getattr(floor, name) for floor in at_floors])) if floors else None,
            floor_size=size,
        )
    return compared


def neighbour_radii(features: Array, num_neighbours: int) -> Array:
    """The distance of each row to its k-th nearest other row: [num_pictures]."""
    distances = pairwise_distances(features, features)
    np.fill_diagonal(distances, -1.0)  # The row itself comes first, whatever rounding says.
    return np.partition(distances, num_neighbours, axis=1)[:, num_neighbours]


def pairwise_distances(first: Array, second: Array) -> Array:
    """Euclidean distances between the rows of two arrays: [len(first), len(second)].

    About their common mean, so that a large offset costs no digits.
    """
    middle = second.mean(axis=0)
    first, second = first - middle, second - middle
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)[None] - 2 * first @ second.T
    return np.sqrt(np.maximum(squares, 0.0))


def _compare(
    measure: Measure, quick: Measure, generated: Array, reference: Array, seed: int, num_resamples: int
) -> Comparison:
    generated, reference = _pair(generated, reference)
    value = measure(generated, reference)
    low, high = spread_interval(quick, value, (generated, reference), seed=seed, num_resamples=num_resamples)
    size, splits = _splits(len(generated), len(reference), seed)
    floors: list[float] = []
    values: list[float] = []
    for chosen, half, other in splits if size >= 2 else ():
        floors.append(quick(reference[half], reference[other]))
        values.append(quick(generated[chosen], reference[other]))
    return Comparison(
        value=value,
        low=low,
        high=high,
        floor=float(np.mean(floors)) if floors else None,
        value_at_floor=float(np.mean(values)) if values else None,
        floor_size=size,
    )


def _splits(num_generated: int, num_reference: int, seed: int) -> tuple[int, list[tuple[Array, Array, Array]]]:
    """The size at which generated pictures and two halves of the reference are compared, and rows for each split."""
    size = min(num_generated, num_reference // 2)
    rng = np.random.default_rng(seed)
    splits: list[tuple[Array, Array, Array]] = []
    for _ in range(_NUM_SPLITS):
        order = rng.permutation(num_reference)
        chosen = rng.choice(num_generated, size, replace=False)
        splits.append((chosen, order[:size], order[size : 2 * size]))
    return size, splits


def _pair(generated: Array, reference: Array) -> tuple[Array, Array]:
    generated, reference = np.asarray(generated, np.float64), np.asarray(reference, np.float64)
    if generated.ndim != 2 or reference.ndim != 2 or generated.shape[1] != reference.shape[1]:
        raise ValueError(f"features must be [pictures, features] alike, not {generated.shape} and {reference.shape}")
    if min(len(generated), len(reference)) < 2:
        raise ValueError("at least two pictures of each kind are needed")
    return generated, reference


@dataclass(frozen=True, kw_only=True)
class _Spread:
    """The mean of a set, and a matrix A, no taller than wide, with A'A its covariance.

    A is the centred rows, or their triangular factor. Cholesky's factor takes half the time, but is only as good as the
    covariance is conditioned: `conditioning` is its smallest diagonal entry over its largest, 0 for other factors.
    """

    mean: Array
    factor: Array
    conditioning: float

    @staticmethod
    def of(features: Array) -> _Spread:
        mean = features.mean(axis=0)
        centred = features - mean
        scale = np.sqrt(len(features) - 1)
        if len(centred) <= centred.shape[1]:
            return _Spread(mean=mean, factor=centred / scale, conditioning=0.0)
        with contextlib.suppress(np.linalg.LinAlgError):
            factor = np.linalg.cholesky(centred.T @ centred, upper=True)
            diagonal = np.diagonal(factor)
            conditioning = float(diagonal.min() / diagonal.max())
            if conditioning > _WELL_CONDITIONED:
                return _Spread(mean=mean, factor=factor / scale, conditioning=conditioning)
        return _Spread(mean=mean, factor=np.linalg.qr(centred, mode="r") / scale, conditioning=0.0)


def _squared_discrepancy(generated: Array, reference: Array) -> float:
    def kernel(first: Array, second: Array) -> Array:
        return (first @ second.T / first.shape[1] + 1) ** 3

    def within(features: Array) -> float:
        values = kernel(features, features)
        return (values.sum() - np.trace(values)) / (len(features) * (len(features) - 1))

    return float(within(generated) + within(reference) - 2 * kernel(generated, reference).mean())
