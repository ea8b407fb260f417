from pneumo.evaluation.external import evaluate_external


def test_a_model_that_does_not_travel_is_said_not_to_travel(evaluation, inventory, home):
    found = evaluate_external(evaluation, inventory, home)
    assert not found.travels and found.auc.value < 0.5
    assert found.verdict.startswith("Does not travel: AUC 0.") and "at home" in found.verdict
    assert (found.images, found.errors) == (59, 1)
    assert sorted(path.stem for path in (found.folder / "figures").iterdir()) == ["confusion", "reliability", "roc"]


def test_the_external_set_is_kept_by_inventory_and_evaluation(evaluation, inventory, home):
    first = evaluate_external(evaluation, inventory, home)
    moved = inventory.model_copy(update={"source": "other"})
    assert evaluate_external(evaluation, moved, home) == first.model_copy(update={"source": "other", "name": "other"})


def test_most_images_from_elsewhere_are_flagged(evaluation, inventory, home):
    assert evaluate_external(evaluation, inventory, home).unlike > 0.5
