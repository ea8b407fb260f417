import numpy as np
import pandas as pd
import pytest

from pneumo.errors import DataError
from pneumo.evaluation.external.acceptance_test import counts, draw, for_prevalence, judge
from pneumo.evaluation.measures import Operating, apply_operating
from pneumo.evaluation.statistics.calibration import calibration_error, probability
from pneumo.evaluation.statistics.metrics import calibration_error_statistic


def rows(patients=100, images=3, seed=0):
    """A quarter of the patients are ill; the logit is calibrated as it stands."""
    random = np.random.default_rng(seed)
    ill = np.arange(patients) % 4 == 0
    logit = random.normal(np.where(ill, 1.0, -1.0) * 1.0, np.sqrt(2.0))
    table = pd.DataFrame({
        "patient": [f"p{number}" for number in range(patients)], "subtype": "none", "logit": logit - np.log(3),
        "label": np.where(ill, "PNEUMONIA", "NORMAL"), "width": 64, "height": 64, "mode": "L",
    })  # fmt: skip
    table = table.loc[table.index.repeat(images)].reset_index(drop=True)
    hashes = [np.random.default_rng(number).bytes(32).hex() for number in range(len(table))]
    return table.assign(pixels=[f"x{number}" for number in range(len(table))], phash=hashes)


def test_whole_patients_are_drawn_in_the_set_s_own_shares():
    table = rows()
    drawn = draw(table, 120)
    assert counts(table[drawn]) == {"NORMAL": 90, "PNEUMONIA": 30}
    assert not set(table["patient"][drawn]) & set(table["patient"][~drawn])


def test_the_draw_is_the_same_in_any_order_of_rows():
    table = rows()
    shuffled = table.sample(frac=1, random_state=3).reset_index(drop=True)
    assert set(shuffled["patient"][draw(shuffled, 120)]) == set(table["patient"][draw(table, 120)])


def test_at_most_so_many_are_drawn_where_patients_do_not_fit():
    drawn = draw(rows(), 121)
    assert 117 <= drawn.sum() <= 121


def test_patients_with_an_identical_picture_stay_on_one_side():
    table = rows()
    table.loc[table["patient"].isin(["p1", "p2"]), "pixels"] = "same"
    for count in (90, 120, 150, 180):
        drawn = draw(table, count)
        assert len(set(drawn[table["patient"].isin(["p1", "p2"])])) == 1


@pytest.mark.parametrize(
    ("count", "words"), [(30, "give at least 40"), (270, "is left|to be left to judge by"), (900, "leaves 0 NORMAL")]
)
def test_too_few_to_calibrate_or_to_judge_is_refused(count, words):
    with pytest.raises(DataError, match=words):
        draw(rows(), count)


def test_another_share_moves_probabilities_as_bayes_says():
    logits, point = np.linspace(-4, 4, 9), Operating(0.7, 1.8, 0.4)
    before = probability(logits, point.temperature, point.offset)
    # P(x | ill) / P(x | normal) is what the odds are without the prior odds.
    odds = before / (1 - before) / (0.25 / 0.75) * (0.1 / 0.9)
    there = for_prevalence(point, 0.25, 0.1)
    assert probability(logits, there.temperature, there.offset) == pytest.approx(odds / (1 + odds))


def test_another_share_moves_no_call():
    table, point = rows(), Operating(0.7, 1.8, 0.4)
    for share in (0.01, 0.3, 0.9):
        called = apply_operating(table, for_prevalence(point, 0.25, share))["called"]
        assert called.equals(apply_operating(table, point)["called"])


def test_the_calibration_error_of_another_share_is_that_of_a_set_with_this_share():
    table = rows()
    scores = probability(table["logit"])
    ill = (table["label"] == "PNEUMONIA").to_numpy()
    weights = np.ones((1, len(table)))
    assert calibration_error_statistic(ill, scores)(weights)[0] == pytest.approx(calibration_error(ill, scores))
    # The normal images three times: a share of 1/10.
    more = np.concatenate([np.flatnonzero(ill), *[np.flatnonzero(~ill)] * 3])
    wanted = calibration_error(ill[more], scores[more])
    assert calibration_error_statistic(ill, scores, share=0.1)(weights)[0] == pytest.approx(wanted)


def test_figures_have_intervals_over_patients():
    found = judge(rows(), Operating(0.0, 1.0, 0.25))
    assert found.auc.low < found.auc.value < found.auc.high
    assert found.calibration_error.low <= found.calibration_error.value < found.calibration_error.high
    single = judge(rows(images=1), Operating(0.0, 1.0, 0.25))
    assert single.auc.low == pytest.approx(found.auc.low)  # three images of a patient are no more patients
