import pytest

from pneumo.training.process.progress import Progress
from tasks.pages.candidates import share


def test_a_bar_does_not_fall_back_when_the_next_fold_begins():
    ends = Progress(name="a", stage="tuning", epoch=5, epochs=15, step=10, steps=10)
    begins = Progress(name="a", stage="features", epoch=5, epochs=15)
    assert share(ends) == share(begins) == pytest.approx(100 / 3)
    assert share(Progress(name="a", stage="tuning", epoch=1, epochs=2, step=5, steps=10)) == 25
    assert share(Progress(name="a", stage="scoring", epochs=3, epoch=3)) == 99
