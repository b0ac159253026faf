"""What few test patients can show: Student's quantiles, the comparison of two models, and how many patients it takes.

The formulas are those of ``model_code.evaluation.intervals``, for patients with equally many slices; a contract test
compares the two. The standard library is enough, so gates and the command line need no numerical package.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence

LEVEL = 0.95
NORMAL = 1.959964  # the quantile of the normal distribution for LEVEL
FEWEST_PATIENTS = 4  # of a class, for any figure
AUC_CONTINUOUS = 0.4  # how far its interval is from Clopper and Pearson's to Jeffreys', which has 0.5
FOLD_SPREAD = 0.03  # of the balanced accuracies of folds' models
MOST_PATIENTS = 10_000  # of a class, looked at


@functools.cache
def student_quantile(level: float, degrees_of_freedom: float) -> float:
    """Return how many standard errors an interval of this level reaches to each side."""
    low, high = 0.0, 1e3
    for _ in range(60):
        middle = (low + high) / 2
        outside = _incomplete_beta(
            degrees_of_freedom / 2, 0.5, degrees_of_freedom / (degrees_of_freedom + middle * middle)
        )
        low, high = (middle, high) if outside > 1 - level else (low, middle)
    return high


def lowest_difference(classes: Sequence[Sequence[float]], level: float = LEVEL, folds: int = 0) -> float:
    """Return the lower end of the interval of a difference in balanced accuracy, of this ``level``.

    ``classes`` has for each class the differences of its patients: two or more, of equally many slices. By ``folds``
    each of the two is so many models; 0 if it is one.
    """
    counts = [len(one) for one in classes]
    means = [sum(one) / len(one) for one in classes]
    squares = [
        sum((each - mean) ** 2 for each in one) / (len(one) - 1) for one, mean in zip(classes, means, strict=True)
    ]
    variance = sum(square / count for square, count in zip(squares, counts, strict=True)) / len(classes) ** 2
    apart = sum(abs(each) for one in classes for each in one)
    return sum(means) / len(means) - _reach(variance, apart, counts, level, folds)


def comparison_needs(margin: float, classes: int, level: float = LEVEL, folds: int = 0) -> int | None:
    """Return the fewest test patients of each class with which two models that never differ are shown to be so.

    The interval of their difference, which is of this ``level``, then reaches no further down than the margin.

    None if no number of patients is enough, as for a margin of 0.
    """
    return next((count for count in _counts() if _reach(0.0, 0.0, [count] * classes, level, folds) <= margin), None)


def first_model_needs(balanced_accuracy: float, sensitivity: float, specificity: float, classes: int) -> int | None:
    """Return the fewest test patients of each class with which a model without mistakes shows that it reaches these.

    None if no number of patients is enough, as for a sensitivity of 1.
    """
    wanted = ((sensitivity, 1), (specificity, classes - 1), (balanced_accuracy, classes))
    return next((n for n in _counts() if all(_faultless(n, share, classes) >= least for least, share in wanted)), None)


def lower_end(value: float, low: float, tail: float, continuous: float) -> float:
    """Return the lower end of a share's interval at another level; ``tail`` is the probability that it is too high.

    ``low`` is that of the 95 % interval. The effective number of cases follows from it. ``continuous`` is that of the
    interval: 0 of a share, and ``AUC_CONTINUOUS`` of an AUC.
    """
    if not 0 < low < value:
        return low

    def above(size: float, at: float) -> float:
        return _incomplete_beta(value * size + continuous, (1 - value) * size + 1 - continuous, at)

    size = math.exp(_where(lambda log: above(math.exp(log), low), (1 - LEVEL) / 2, 16.0, -4.0))
    return _where(lambda at: above(size, at), tail, 0.0, low)


def _where(rising: Callable[[float], float], wanted: float, low: float, high: float) -> float:
    """Return where a function, which rises from ``low`` to ``high``, has a value."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return (low + high) / 2


def _counts() -> Iterator[int]:
    """Yield numbers of patients, each exactly up to 100 and then in steps of a fiftieth."""
    count = FEWEST_PATIENTS
    while count <= MOST_PATIENTS:
        yield count
        count += max(1, count // 50)


def _faultless(count: int, share: int, classes: int) -> float:
    """Return the lower end of a figure without mistakes, over the patients of ``share`` classes of ``count`` each."""
    spare = classes * (count - 1)
    size = count * share * (NORMAL / student_quantile(LEVEL, spare)) ** 2
    return float(((1 - LEVEL) / 2) ** (1 / size))


def _reach(variance: float, apart: float, counts: Sequence[int], level: float, folds: int) -> float:
    """Return half the width of the interval; one more patient differs wholly, and the variance is stabilised."""
    classes, total = len(counts), sum(counts)
    spare = total - classes
    greatest = (apart + 1) / (total + 1) * sum(1 / count for count in counts) / classes**2
    stabilised = (variance * spare + greatest * classes) / (spare + classes)
    of_folds = 2 * FOLD_SPREAD**2 / folds if folds else 0.0
    return student_quantile(level, spare) * math.sqrt(stabilised + of_folds)


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function, by Lentz's continued fraction."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for step in (even, odd):
            d, c = 1 / (1 + step * d), 1 + step / c
            fraction *= c * d
        if abs(c * d - 1) < 1e-12:
            break
    return front * fraction / a
