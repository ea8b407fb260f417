import pytest

from pneumo.evaluation.statistics.sample_size import area_error, area_need, share_need


@pytest.mark.parametrize(
    ("limit", "wanted", "needed"), [(0.9, 0.05, 139), (0.95, 0.05, 73), (0.85, 0.1, 49), (1, 0.1, 0)]
)
def test_a_sensitivity_takes_what_buderer_says(limit, wanted, needed):
    need = share_need("sensitivity", limit, wanted, 100, pneumonia=True)
    assert (need.pneumonia, need.normal, need.enough) == (needed, 0, needed <= 100)


def test_a_specificity_is_about_normal_patients():
    need = share_need("specificity", 0.7, 0.05, 323, pneumonia=False)
    assert (need.normal, need.pneumonia, need.enough) == (323, 0, True)
    assert need.gives == pytest.approx(0.05, abs=2e-4)


def test_the_error_of_an_area_is_that_of_hanley_and_mcneil():
    # Q1 = 0.9 / 1.1, Q2 = 1.62 / 1.9, by hand for 40 and 60.
    by_hand = ((0.09 + 39 * (0.9 / 1.1 - 0.81) + 59 * (1.62 / 1.9 - 0.81)) / 2400) ** 0.5
    assert area_error(0.9, normal=60, pneumonia=40) == pytest.approx(by_hand)


@pytest.mark.parametrize("ratio", [0.5, 1, 4])
def test_so_many_patients_give_the_wanted_area_and_one_fewer_does_not(ratio):
    need = area_need("ROC AUC", 0.9, 0.05, normal=round(100 * ratio), pneumonia=100)
    z = 1.96
    assert z * area_error(0.9, need.normal, need.pneumonia) <= 0.0501
    assert z * area_error(0.9, round(need.normal - max(1, ratio)), need.pneumonia - 1) > 0.05
    assert need.enough == (need.pneumonia <= 100)
