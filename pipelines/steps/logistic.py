"""Logistic regression of a few numbers: makes a probability of a score (Platt scaling), or of a diameter."""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
STEPS = 50
RIDGE = 1e-3
"""Keeps the fit finite where a number parts the two kinds without error."""


def fit_logistic(numbers: Numbers, answers: NDArray[np.bool_]) -> Numbers:
    """Coefficients of `numbers` (cases, m) and, the last one, the constant: (m + 1,). Newton's method."""
    design = np.c_[numbers, np.ones(len(numbers))]
    coefficients = np.zeros(design.shape[1])
    for _ in range(STEPS):
        chance = _squash(design @ coefficients)
        slope = design.T @ (chance - answers) + RIDGE * coefficients
        bend = design.T @ (design * (chance * (1 - chance))[:, None]) + RIDGE * np.eye(design.shape[1])
        coefficients = coefficients - np.linalg.solve(bend, slope)
    return coefficients


def predict_logistic(coefficients: Numbers, numbers: Numbers) -> Numbers:
    """The probability, 0..1, of each row of `numbers` (cases, m)."""
    return _squash(np.c_[numbers, np.ones(len(numbers))] @ coefficients)


def _squash(values: Numbers) -> Numbers:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(values, -40.0, 40.0))))
