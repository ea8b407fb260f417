"""A model of embeddings on the way to champion, and as the champion that others are compared with."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pneumo.data.sources.embeddings import bring_in
from pneumo.errors import ModelError, PromotionError
from pneumo.evaluation.evaluate import evaluate
from pneumo.records.model import Evaluation
from pneumo.registry import model_card
from pneumo.registry.acceptance.accept import accept
from pneumo.registry.promotion.predictions import cells
from pneumo.registry.promotion.proposal import choose, rank
from pneumo.settings.data import Data
from pneumo.training.candidates.linear_probe import train_linear

FRESH = "registered version in a fresh process"
FAIRNESS = "test images that the champion was trained on"
AGAINST = "ROC AUC against the champion"
Make = Callable[..., Evaluation]


@pytest.fixture
def embedded(world: Any, tmp_path: Path) -> Make:
    """A logged candidate on embeddings; less noise is a better one, another seed is another model that made them."""

    def make(noise: float = 0.5, seed: int = 0, width: int = 3) -> Evaluation:
        rows = pd.read_parquet(world.version.manifest)
        numbers = [np.random.default_rng([seed, int(Path(path).stem)]).normal(0, 1, width) for path in rows["path"]]
        values = np.stack(numbers) * [noise, *[1.0] * (width - 1)]
        values[:, seed % width] += 2.0 * (rows["label"] == "PNEUMONIA").to_numpy()
        file = tmp_path / "dino.parquet"
        pd.DataFrame({"sha256": rows["sha256"], "embedding": values.tolist()}).to_parquet(file)
        (vectors,) = bring_in([str(file)], world.version, world.home, Data())
        run_id = world.tracker.runs.start(vectors.candidate, parent=world.parent)
        candidate = train_linear(vectors, world.version, run_id, world.home)
        found = evaluate(candidate, world.version, vectors, world.settings.promotion, world.home)
        (example,) = cells(rows.head(1), world.version.root, vectors.path)
        uri = world.tracker.bundles.log(run_id, found.bundle, candidate.name, example)
        return found.model_copy(update={"model_uri": uri})

    world.policy(embeddings_may_win=True)
    return make


def test_it_becomes_champion_by_the_same_gates_in_a_fresh_process(world: Any, embedded: Make) -> None:
    decision = world.promote(embedded())
    assert decision.promoted, decision.reason
    assert float(world.row(decision, FRESH).value.removeprefix("largest difference ")) < 1e-4
    assert "of the linear model alone" in world.row(decision, "latency of one image, ms").value
    model = world.tracker.files.load_pyfunc(f"models:/{world.name}@champion")
    table = model.predict(pd.DataFrame({"embedding": [[0.0, 0.0, 0.0], [1.0]]}))
    assert table["error"].isna().tolist() == [True, False]
    found = world.tracker.registry.version(world.name, "1")
    assert found.tags["input"] == "embedding"
    with pytest.raises(ModelError, match="takes embeddings made elsewhere, not images"):
        accept("phantom:40", world.settings, world.home, f"models:/{world.name}/1")
    assert "Not measured" in found.description and 'pd.DataFrame({"embedding"' in found.description


@pytest.mark.usefixtures("quick")
def test_its_card_says_what_was_not_measured(world: Any, embedded: Make) -> None:
    evaluation = embedded()
    written = model_card.write(evaluation, world.version, world.promote(evaluation), [], "http://mlflow", "http://run")
    for text in written:
        words = re.sub(r"<[^>]+>|\*", "", text)
        for line in (*evaluation.unmeasured, "It was not measured on images of another hospital."):
            assert line in words
    assert "Does it look at the lungs?" not in written.html and "xray.jpeg" not in written.html


@pytest.mark.usefixtures("quick")
class TestChoice:
    """Of a model without images it is not known what change does to it."""

    def test_it_is_not_chosen_unless_that_is_asked_for(self, world: Any, embedded: Make) -> None:
        weak, strong = world.candidate("weak", noise=4.0), embedded()
        assert strong.validation_auc > weak.validation_auc
        assert choose([strong, weak]).name == "weak"
        assert choose([strong, weak], embeddings_may_win=True).name == "linear on dino"
        assert [item.name for item in rank([strong, weak])] == ["weak", "linear on dino"]

    def test_alone_it_is_chosen(self, embedded: Make) -> None:
        assert choose([embedded()]).name == "linear on dino"

    def test_it_meets_the_one_that_the_selection_score_picks_not_the_best_of_validation(
        self, world: Any, embedded: Make
    ) -> None:
        """Or a setting for embeddings would change which backbone wins."""
        found = [world.candidate(name, noise=1.0, seed=seed) for seed, name in enumerate(("robust", "fragile"))]
        scores = zip(found, (0.9, 0.8), (0.90, 0.99), strict=True)
        both = [
            item.model_copy(update={"selection_score": score, "validation_auc": auc}) for item, score, auc in scores
        ]
        weaker = embedded().model_copy(update={"validation_auc": 0.89})
        assert choose([*both, weaker], embeddings_may_win=True).name == "robust"
        equal = weaker.model_copy(update={"validation_auc": 0.90})
        assert choose([*both, equal], embeddings_may_win=True).name == "robust"


@pytest.mark.usefixtures("quick")
class TestAsChampion:
    """A challenger of images meets a champion that cannot read them."""

    def test_on_the_same_images_its_registered_answers_are_compared(self, world: Any, embedded: Make) -> None:
        world.promote(embedded(noise=3.0))
        decision = world.promote(world.candidate("good", noise=0.5))
        assert decision.promoted, decision.reason
        assert ", 96 images" in world.row(decision, AGAINST).value

    def test_a_champion_of_images_is_asked_with_images(self, world: Any, embedded: Make) -> None:
        world.promote(world.candidate("weak", noise=4.0))
        decision = world.promote(embedded())
        assert decision.promoted, decision.reason
        assert ", 96 images" in world.row(decision, AGAINST).value

    def test_new_images_without_embeddings_are_a_refusal_that_says_so(self, world: Any, embedded: Make) -> None:
        world.promote(embedded(noise=3.0))
        world.grow(240)
        decision = world.promote(world.candidate("good", noise=0.5))
        assert not decision.promoted
        words = "version 1 takes embeddings (linear on dino), and 24 of 120 images have none: give its file to the run"
        assert world.row(decision, FAIRNESS).value.startswith(words)
        assert world.aliases()["champion"] == "1"

    def test_new_images_with_the_same_embeddings_are_asked_for(self, world: Any, embedded: Make) -> None:
        world.promote(embedded(noise=3.0))
        world.grow(240)
        again, good = embedded(noise=3.0), world.candidate("good", noise=0.5).model_copy(update={"validation_auc": 1.0})
        decision = world.promote(good, again)
        assert decision.promoted and decision.name == "good", decision.reason
        assert ", 120 images" in world.row(decision, AGAINST).value

    def test_embeddings_of_another_model_under_the_same_name_are_not_taken_for_them(
        self, world: Any, embedded: Make
    ) -> None:
        """They would make the champion look bad."""
        world.promote(embedded(noise=3.0))
        world.grow(240)
        decision = world.promote(embedded(noise=0.5, seed=1))
        assert not decision.promoted
        assert "may be of another model" in world.row(decision, FAIRNESS).value

    def test_embeddings_of_another_length_are_told(self, world: Any, embedded: Make) -> None:
        world.promote(embedded(noise=3.0))
        world.grow(240)
        with pytest.raises(PromotionError, match="an embedding of 3 finite numbers, but row 0 holds 4 numbers"):
            world.promote(embedded(noise=0.5, width=4))
        assert world.aliases()["champion"] == "1"
