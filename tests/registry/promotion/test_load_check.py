"""Load-and-query: what is registered, in a process of its own."""

from pathlib import Path
from typing import Any

import numpy as np

from pneumo.registry.promotion import load_check
from pneumo.serving.fresh_process.client import Answer, Answers

NAME = "registered version in a fresh process"


def test_a_served_model_that_answers_otherwise_than_its_predictions_is_refused(world: Any) -> None:
    decision = world.promote(world.candidate("good", noise=1.0, shift=0.01))
    assert not decision.promoted
    assert "largest difference" in world.row(decision, NAME).value
    assert world.aliases()["champion"] is None


def test_a_model_that_cannot_be_loaded_is_refused(world: Any) -> None:
    broken = "raise OSError('no such weights')\n        self.x = json"
    world.model_file.write_text(world.model_file.read_text().replace("self.spec = json", broken))
    decision = world.promote(world.candidate("broken", noise=1.0))
    assert not decision.promoted
    assert "no such weights" in world.row(decision, NAME).value


def test_a_model_without_probabilities_is_refused(world: Any) -> None:
    text = world.model_file.read_text().replace('"probability": values', '"probability": [math.nan for _ in values]')
    world.model_file.write_text(text)
    decision = world.promote(world.candidate("broken", noise=1.0))
    assert world.row(decision, NAME).value.startswith("the input example gives")


def test_what_cannot_be_scored_is_told_without_its_path(monkeypatch: Any) -> None:
    files = [Path("/scans/NORMAL/1.png"), Path("/scans/NORMAL/Mustermann.png")]
    errors = (None, f"Expected a whole image, but {files[1]} cannot be decoded.")
    rows = tuple(Answer(probability=None, label=None, error=error, out_of_distribution=False) for error in errors)
    monkeypatch.setattr(load_check, "ask", lambda *_: Answers(rows=rows, example=(0.5,), from_model=True))
    said = load_check.says(None, "models:/a/1", files, np.zeros(2))  # type: ignore[arg-type]
    assert said == (False, "1 of 2 cannot be scored: Expected a whole image, but one of them cannot be decoded.")
