"""What a champion answers on validation images comes from its evidence, fetched once."""

from contextlib import contextmanager
from types import SimpleNamespace

import pandas as pd
import pytest

from pneumo.registry import validation_answers as module
from pneumo.settings import Settings

TAGS = {"offset": "0.0", "temperature": "2.0", "threshold": "0.6", "files.sha256": "f" * 64}


@pytest.fixture
def answers(tmp_path, monkeypatch):
    """Asks for those of a version with such tags; `fetched` has an item for each download."""
    fetched = []
    rows = pd.DataFrame({"split": ["validation", "validation", "test"], "logit": [0.0, 4.0, 9.0]})

    @contextmanager
    def evidence_of(tracker, found):
        fetched.append(found)
        folder = tmp_path / "evidence"
        folder.mkdir(exist_ok=True)
        rows.to_parquet(folder / "predictions.parquet")
        yield folder

    def ask(tags):
        registry = SimpleNamespace(version=lambda name, version: SimpleNamespace(tags=tags))
        monkeypatch.setattr(module.Tracker, "of", lambda settings: SimpleNamespace(registry=registry))
        return module.validation_answers(Settings(home=tmp_path), "lungs", "3")

    monkeypatch.setattr(module.version_evidence, "evidence_of", evidence_of)
    return SimpleNamespace(ask=ask, fetched=fetched)


def test_they_are_at_the_version_s_own_operating_point_without_test_images(answers):
    for _ in range(2):
        found = answers.ask(TAGS)
        assert found["label"].tolist() == ["NORMAL", "PNEUMONIA"]
        assert found["probability"].tolist() == pytest.approx([0.5, 0.8808], abs=1e-4)
    assert len(answers.fetched) == 1


def test_a_version_of_other_software_has_none(answers):
    assert answers.ask({}) is None and not answers.fetched
