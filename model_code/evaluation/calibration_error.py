"""Measures how far a model's probabilities are from frequencies, by class, and whether softer ones would do better.

The unit is the patient, as in ``intervals``. Two figures, for two questions:

- **The calibration error** of a class: the difference between its probability and how often it is there, within tenths
  of the probability, as the root of the mean square over the slices. The square of a difference is larger by chance
  alone the fewer slices there are. Products of two different patients' differences are not: their expectation is 0 for
  a model whose probabilities hold, however many patients there are and however alike one patient's slices are. So only
  those are summed (Kumar 2019 and Widmann 2019 do so for slices). Student's t on the jackknife over patients gives the
  interval.
- **The odds that it is too sure**: how much better than the model's own probabilities softer ones predict the labels.
  For each patient one bets half of one's money on softened probabilities against the stated ones. If the stated ones
  hold, no bet has a gain in expectation, so a fortune of 20 times the stake or more comes in 1 of 20 runs at most
  (Ville's inequality), at every number of patients.

``python -m assurance.calibration`` measures both.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp, stdtrit  # type: ignore[import-untyped]

from model_code.evaluation.bootstrap import COVERAGE, Figure, Floats, Ints, rounded
from model_code.evaluation.statistics import CALIBRATION_BINS

# With fewer patients the interval of an error says nothing.
FEWEST_PATIENTS = 6
TAIL = (1 - COVERAGE) / 2
# By how much the softer probabilities divide the logits: a little, clearly, and far too sharp.
SOFTER = (2.0, 5.0, 20.0)
# And the share of a slice's probability that is divided evenly, for logits of any sharpness.
EVEN = 0.1
STAKE = 0.5
# A label that has less probability than this counts as this, so that the bet on one slice wins no more than 10,000:1.
LEAST_PROBABILITY = 1e-4
MOST_ODDS = 1e9


def errors(probabilities: Floats, targets: Ints, patients: Ints) -> tuple[list[Figure], Figure]:
    """Return the calibration error of each class, and of all: the root of the mean of the classes' squares.

    Arguments: N x classes probabilities; class and patient of each slice, from 0. With few patients the intervals are
    None.
    """
    classes = probabilities.shape[1]
    squares = [
        _squares(probabilities[:, index], (targets == index).astype(float), patients) for index in range(classes)
    ]
    return [_figure(one) for one in squares], _figure(np.mean(squares, axis=0))


def offsets(probabilities: Floats, targets: Ints, patients: Ints) -> list[Figure]:
    """Return each class's mean probability less its share of the slices, with Student's t interval over patients."""
    count = int(patients.max()) + 1
    sizes = np.bincount(patients, minlength=count)
    found: list[Figure] = []
    for index in range(probabilities.shape[1]):
        sums = np.bincount(patients, probabilities[:, index] - (targets == index), count)
        value = sums.sum() / sizes.sum()
        if count < FEWEST_PATIENTS:
            found.append(Figure(rounded(value), None, None))
            continue
        variance = ((sums - value * sizes) ** 2).sum() * count / (count - 1) / sizes.sum() ** 2
        reach = float(-stdtrit(count - 1, TAIL) * np.sqrt(variance))
        found.append(Figure(rounded(value), rounded(value - reach), rounded(value + reach)))
    return found


def odds_too_sure(probabilities: Floats, targets: Ints, patients: Ints) -> float:
    """Return what a stake of 1 becomes that is put on softer probabilities, patient by patient; 1e9 at most.

    It is divided evenly between the kinds of softer probabilities.
    """
    labels = np.arange(len(targets)), targets
    stated, sizes = probabilities[labels], np.bincount(patients)
    logs = np.log(np.maximum(probabilities, np.finfo(float).tiny))
    softer = [np.exp(logs[labels] / by - logsumexp(logs / by, axis=1)) for by in SOFTER]
    softer.append((1 - EVEN) * stated + EVEN / probabilities.shape[1])
    gains = [np.bincount(patients, one / np.maximum(stated, LEAST_PROBABILITY)) / sizes for one in softer]
    fortunes = [np.log(1 - STAKE + STAKE * gain).sum() for gain in gains]
    return float(min(np.exp(min(logsumexp(fortunes) - np.log(len(fortunes)), np.log(MOST_ODDS))), MOST_ODDS))


def _squares(probability: Floats, there: Floats, patients: Ints) -> Floats:
    """Return the squared error of one class: of all patients, then without each of them in turn."""
    tenth = np.minimum((probability * CALIBRATION_BINS).astype(np.intp), CALIBRATION_BINS - 1)
    shape = (int(patients.max()) + 1, CALIBRATION_BINS)
    cell = patients * CALIBRATION_BINS + tenth
    differences = np.bincount(cell, probability - there, shape[0] * shape[1]).astype(float).reshape(shape)
    slices = np.bincount(cell, minlength=shape[0] * shape[1]).astype(float).reshape(shape)
    products, possible = _between_patients(differences), _between_patients(slices)
    counts = slices.sum(axis=0) - _left_out(slices)
    squares = np.divide(products, possible, out=np.zeros_like(products), where=possible > 0)
    # Of a single patient nothing is left without it.
    weighted: Floats = (counts * squares).sum(axis=1) / np.maximum(counts.sum(axis=1), 1)
    return weighted


def _between_patients(values: Floats) -> Floats:
    """Return for each tenth the sum of products of two different patients' values: of all, then without each."""
    left_out = _left_out(values)
    products: Floats = (values.sum(axis=0) - left_out) ** 2 - ((values**2).sum(axis=0) - left_out**2)
    return products


def _left_out(values: Floats) -> Floats:
    """Return what each jackknife sample lacks: nothing, then one patient after the other."""
    return np.concatenate([np.zeros((1, values.shape[1])), values])


def _figure(squares: Floats) -> Figure:
    """Return the root of a squared error with its interval, from that of all patients and those without each."""
    value, without = float(squares[0]), squares[1:]
    count = len(without)
    if count < FEWEST_PATIENTS:
        return Figure(rounded(_root(value)), None, None)
    spread = np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum())
    reach = float(-stdtrit(count - 1, TAIL) * spread)
    # No patient whose probabilities are wholly wrong may be among few, and the jackknife then knows of none.
    high = min(_root(value + reach) + 1 / count, 1.0)
    return Figure(rounded(_root(value)), rounded(_root(value - reach)), rounded(high))


def _root(square: float) -> float:
    return float(np.sqrt(max(square, 0.0)))
