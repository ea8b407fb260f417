"""What a challenger said as shadow is a row of its decision, which warns but never refuses by itself."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from pneumo.monitoring import realised
from pneumo.registry.promotion import shadow_row
from pneumo.registry.promotion.severity import SHADOW, with_severity
from pneumo.registry.promotion.shadow_row import rows
from pneumo.serving import answer_log, feedback, shadow_log
from pneumo.serving.feedback import KeptFeedback
from pneumo.settings.promotion import Promotion
from pneumo.settings.unattended import Watch
from tests.monitoring.test_shadow_comparison import pairs

CHALLENGER: Any = SimpleNamespace(name="lungs", version="2")
SETTINGS: Any = SimpleNamespace(watch=Watch(minimum_feedback=10))


@pytest.fixture
def data(tmp_path: Any, monkeypatch: Any) -> Any:
    """What the challenger was trained on, none of the shadow's images; there is no manifest of the champion."""
    monkeypatch.setattr(shadow_row, "champion_manifest", lambda *_: None)
    pd.DataFrame({"sha256": ["0" * 64], "split": ["train"]}).to_parquet(tmp_path / "challenger.parquet")
    return SimpleNamespace(manifest=tmp_path / "challenger.parquet", synthetic=False)


def keep(home: Any, noise: float) -> None:
    table, truth = pairs(200, noise)
    found = [{**row, "time": row["time"].to_pydatetime()} for row in table.to_dict("records")]
    shadow_log.daily_log(home).append([shadow_log.ShadowAnswer(**row) for row in found])
    now = datetime.now(UTC)
    said = [KeptFeedback(id=image, time=now, image=image, label=label, reader="") for image, label in truth.items()]
    feedback.daily_log(home).append(said)


@pytest.mark.parametrize(("noise", "outcome"), [(0.5, "passed"), (50.0, "warning")])
def test_the_row_shows_the_comparison_and_warns_only_where_the_shadow_was_surely_worse(tmp_path, data, noise, outcome):
    keep(tmp_path, noise)
    (row,) = rows(tmp_path, SETTINGS, data, CHALLENGER, "1")
    assert with_severity(row, Promotion()).outcome == outcome
    assert row.name == SHADOW and "beside version 1 on 200 images" in row.value


@pytest.mark.parametrize("champion", ["7", None])
def test_what_it_said_beside_another_champion_is_no_evidence(tmp_path, data, champion):
    keep(tmp_path, 0.5)
    assert rows(tmp_path, SETTINGS, data, CHALLENGER, champion) == []
    assert not (tmp_path / answer_log.FOLDER).exists()


def test_a_log_that_cannot_be_read_is_a_warning_and_ends_no_promotion(tmp_path, data):
    (tmp_path / shadow_log.FOLDER).mkdir()
    (tmp_path / shadow_log.FOLDER / "2026-01-01.parquet").write_bytes(b"PAR1")
    (row,) = rows(tmp_path, SETTINGS, data, CHALLENGER, "1")
    assert with_severity(row, Promotion()).outcome == "warning" and "cannot be read" in row.value


def test_feedback_on_images_that_either_version_learned_from_is_left_out(tmp_path, monkeypatch, data):
    """A challenger trained on what readers said of the champion's answers would be judged by what it learned."""
    keep(tmp_path, 0.5)
    monkeypatch.setattr(realised, "keyed", lambda digest, _: digest)  # the images of this log go by their names
    images = sorted(feedback.agreed(tmp_path)[0].labels.index)
    for name, part in (("challenger", images[:90]), ("champion", images[90:185])):
        pd.DataFrame({"sha256": part, "split": "train"}).to_parquet(tmp_path / f"{name}.parquet")
    (row,) = rows(tmp_path, SETTINGS, data, CHALLENGER, "1")
    assert "on 55 NORMAL and 55 PNEUMONIA images with feedback ROC AUC" in row.value
    monkeypatch.setattr(shadow_row, "champion_manifest", lambda *_: tmp_path / "champion.parquet")
    (row,) = rows(tmp_path, SETTINGS, data, CHALLENGER, "1")
    assert "7 NORMAL and 8 PNEUMONIA images have feedback, 10 of each are needed" in row.value


@pytest.mark.usefixtures("quick")
def test_the_next_decision_on_a_refused_challenger_shows_what_it_said_as_shadow(world):
    world.promote(world.candidate("good", noise=0.5))
    weak = world.candidate("weak", noise=3.0)
    assert SHADOW not in [row.name for row in world.promote(weak).rows]
    table, _ = pairs(30)
    found = [{**row, "time": row["time"].to_pydatetime()} for row in table.assign(model=world.name).to_dict("records")]
    shadow_log.daily_log(world.home).append([shadow_log.ShadowAnswer(**row) for row in found])
    decision = world.promote(weak)
    assert (decision.version, decision.promoted) == ("2", False)
    assert "beside version 1 on 30 images" in world.row(decision, SHADOW).value
