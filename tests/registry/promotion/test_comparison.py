"""Champion and challenger on the same images, without those that the champion knows."""

import hashlib
from typing import Any

import pandas as pd
import pytest

FAIRNESS = "test images that the champion was trained on"
pytestmark = pytest.mark.usefixtures("quick")


@pytest.mark.parametrize(("tie", "promoted"), [("keep", False), ("promote", True)])
def test_a_tie_goes_as_the_policy_says(world: Any, tie: str, promoted: bool) -> None:
    world.promote(world.candidate("one", noise=2.0, seed=1))
    world.policy(tie=tie)
    decision = world.promote(world.candidate("two", noise=2.0, seed=2))
    assert decision.promoted is promoted, decision.reason


def test_images_and_patients_that_the_champion_was_trained_on_are_left_out_and_said(world: Any) -> None:
    """A patient of two images had one in the champion's training set: neither of the two is a fair question."""
    rows, today = pd.read_parquet(world.version.manifest), world.version
    tested = rows.index[rows["split"] == "test"]
    moved = rows.copy()
    moved.loc[tested[:1], "split"] = "train"
    world.version = world.data_version(today.root, moved)
    world.promote(world.candidate("champion", noise=3.0))
    world.version = today
    decision = world.promote(world.candidate("candidate", noise=0.5))
    expected = f"version 1 was trained on 2 of them or their patients; {len(tested) - 2} left"
    assert world.row(decision, FAIRNESS).value == expected
    assert decision.promoted, decision.reason


def test_a_patient_who_was_learned_when_ill_is_known_when_healthy(world: Any) -> None:
    rows, today = pd.read_parquet(world.version.manifest), world.version
    normal = rows.index[(rows["split"] == "test") & (rows["label"] == "NORMAL")]
    ill = rows.index[(rows["split"] == "train") & (rows["subtype"] == "bacteria")]
    rows.loc[normal[:2], "patient"] = rows.loc[ill[0], "patient"]
    world.version = world.data_version(today.root, rows)
    world.promote(world.candidate("champion", noise=3.0))
    decision = world.promote(world.candidate("candidate", noise=0.5))
    assert world.row(decision, FAIRNESS).value.startswith("version 1 was trained on 2 of them or their patients")


def test_a_training_picture_of_the_champion_that_was_saved_again_is_left_out_and_said(world: Any) -> None:
    """The same picture in other bytes, under another patient's name; its other bytes tell nothing, its look does."""
    rows, today = pd.read_parquet(world.version.manifest), world.version
    looks = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(len(rows))]
    rows = rows.assign(pixels=looks, phash=looks)
    again, learned = (rows.index[rows["split"] == split][0] for split in ("test", "train"))
    rows.loc[again, "pixels"], rows.loc[again, "patient"] = "saved again", "another name"
    rows.loc[again, "phash"] = rows.loc[learned, "phash"]
    world.version = world.data_version(today.root, rows)
    world.promote(world.candidate("champion", noise=3.0))
    decision = world.promote(world.candidate("candidate", noise=0.5))
    assert world.row(decision, FAIRNESS).value.startswith("version 1 was trained on 1 of them or their patients")


def test_a_champion_of_unknown_training_data_is_compared_and_that_is_said(world: Any) -> None:
    """Somebody registered it by hand."""
    weak = world.candidate("by hand", noise=3.0)
    world.tracker.registry.set_alias(
        world.name, "champion", world.tracker.registry.register(weak.model_uri, world.name)
    )
    decision = world.promote(world.candidate("candidate", noise=0.5))
    assert world.row(decision, FAIRNESS).value.startswith(
        "unknown: version 1 was not registered by pneumo; all 96 images"
    )
    assert decision.promoted, decision.reason
