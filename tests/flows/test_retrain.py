"""What `retrain` makes of a recipe that somebody gives."""

from contextlib import nullcontext

import pytest
from prefect.exceptions import ParameterTypeError, SignatureMismatchError

from flows import retrain
from pneumo.settings import Settings


@pytest.mark.parametrize(
    ("recipe", "error"),
    [({"epoch": 50}, SignatureMismatchError), ({"fit": "stretch"}, ParameterTypeError)],
)
def test_a_recipe_that_train_would_refuse_is_refused_before_any_work(monkeypatch, recipe, error):
    """A misspelt parameter was left out with a warning, and hours of training had the default."""
    monkeypatch.setattr(retrain.operations, "guard", lambda: nullcontext(Settings()))
    with pytest.raises(error, match=next(iter(recipe))):
        retrain.retrain.fn(recipe=recipe)


def test_only_what_is_given_is_replaced_and_as_train_reads_it():
    assert retrain._checked({"ensemble": "false"}) == {"ensemble": False}
    assert retrain._checked({}) == {}
