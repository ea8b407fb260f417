import numpy as np
import pytest

from pneumo.evaluation.statistics.paired_difference import compare
from pneumo.evaluation.statistics.significance import significance

LABELS, PATIENTS = np.arange(80) % 2 == 0, np.arange(80) // 2
RUNS, WEEKS = 100, 6


def model(shared, random):
    """One of many models of the same worth: what all of them see, and noise of its own."""
    return shared + random.normal(scale=0.7, size=len(LABELS))


def promoted(seed, level):
    """Whether any of six equal challengers, one a week, is called better than the champion."""
    random = np.random.default_rng(seed)
    shared = random.normal(size=len(LABELS)) + 1.5 * LABELS
    champion = model(shared, random)
    return any(
        compare(LABELS, model(shared, random), champion, PATIENTS, level=level(week), resamples=1000).bootstrap.low > 0
        for week in range(1, WEEKS + 1)
    )


def test_retraining_equal_models_for_weeks_promotes_in_few_sequences():
    often = sum(promoted(seed, lambda week: 0.95) for seed in range(RUNS))
    rarely = sum(promoted(seed, lambda week: 1 - significance(week)) for seed in range(RUNS))
    assert rarely <= 0.05 * RUNS < often


def test_all_comparisons_together_spend_no_more_than_the_total():
    spent = sum(significance(number) for number in range(1, 100_000))
    assert spent == pytest.approx(0.05, abs=1e-5) and spent < 0.05
