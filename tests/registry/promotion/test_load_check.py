"""Load-and-query: what is registered, in a process of its own."""

from typing import Any

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
