"""What is asked of a version at a place: which set can judge it, and which images are left out."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from pneumo.data import manifest
from pneumo.errors import DataError, PneumoError, PromotionError
from pneumo.evaluation.measures import Operating
from pneumo.registry.acceptance import subject
from pneumo.registry.promotion import version_evidence
from pneumo.serving.fresh_process.client import Answer
from pneumo.settings import Settings
from pneumo.tracking.models import package
from tests.registry.acceptance.place import ask, draw


def test_figures_that_only_a_newer_pneumo_knows_are_told(tmp_path: Path) -> None:
    (tmp_path / version_evidence.EVALUATION).write_text('{"name": "a", "f2": 0.9}')
    version: Any = SimpleNamespace(uri="models:/lungs/7")
    with pytest.raises(PromotionError, match=r"kept with models:/lungs/7, .* a newer pneumo may have registered it"):
        subject._evaluation(version, tmp_path)


def test_scores_are_kept_of_the_same_weights_with_the_same_code_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    row = Answer(probability=0.5, label="NORMAL", error=None, out_of_distribution=False)
    monkeypatch.setattr(subject, "ask", lambda tracker, uri, cells: asked.append(uri) or SimpleNamespace(rows=[row]))
    place, rows = SimpleNamespace(key="k", root=tmp_path), pd.DataFrame({"path": ["a.png"]})
    for number, code in ("1", "a"), ("2", "a"), ("3", "mended"):
        version = SimpleNamespace(uri=number, tags={version_evidence.FILES: "f", package.TAG: code})
        of_it: Any = SimpleNamespace(version=version, operating=Operating(0, 1, 0.5))
        subject._scores(None, of_it, place, rows, tmp_path)  # type: ignore[arg-type]
    assert asked == ["1", "3"]


def refused(here: Any, tmp_path: Path) -> list[tuple[dict[str, Any], str]]:
    few = draw(tmp_path / "few", 12)
    bare = tmp_path / "bare"
    bare.mkdir()
    (few / "NORMAL" / "00000001_000.png").rename(bare / "a.png")
    known = here.tracker.registry.register(here.candidate("foreign", 1.0).model_uri, here.name)
    return [
        ({"source": str(few)}, r"at least 10 readable images of each class .* got 15 NORMAL and 8 PNEUMONIA"),
        ({"source": str(bare)}, "Expected images in folders"),
        ({"calibrate": 175}, r"leaves \d+ NORMAL and \d PNEUMONIA of 120 NORMAL and 60 PNEUMONIA: give a smaller"),
        ({"calibrate": 1000}, "leaves 0 NORMAL and 0 PNEUMONIA"),
        ({"calibrate": 10}, r"at least 10 images of each class to calibrate on.* give at least 30"),
        ({"prevalence": 1.0}, "a share of pneumonia between 0 and 1, got 1"),
        ({"source": "phantom:40"}, "phantom is drawn by pneumo and .* is a model of real images"),
        ({"model": f"models:/{here.name}/{known}"}, "a version that pneumo registered"),
    ]


def test_what_cannot_be_answered_is_refused_in_a_sentence(here: Any, tmp_path: Path) -> None:
    for options, words in refused(here, tmp_path):
        with pytest.raises(PneumoError, match=words.replace("phantom is", "phantom:40 is")):
            ask(here, **options)
    assert not here.tracker.runs.newest({"stage": "accept", "model": f"models:/{here.name}/1"})


def test_images_of_the_version_s_own_data_set_are_refused(here: Any) -> None:
    for number, label in ((0, "NORMAL"), (2, "PNEUMONIA")):
        own = here.version.root / f"{number}.png"
        (Path(here.place) / label / f"copy{number}.png").write_bytes(own.read_bytes())
    with pytest.raises(DataError, match=r"that models:/.*/1 has never seen, but 2 of 182 .* are in its own data set"):
        ask(here)


def test_a_version_is_not_judged_by_the_patients_that_calibrated_it(here: Any) -> None:
    ask(here, calibrate=60)
    again = ask(here, model=f"models:/{here.name}@accepted")
    assert again.left_out == 60 and again.accepted and again.model.endswith("/2")
    assert again.images == {"NORMAL": 80, "PNEUMONIA": 40}


def told_by_names(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings by which names like person7-8.png tell the patient, plain as in the champion's manifest."""
    monkeypatch.setattr(manifest, "pseudonym", lambda kind, text, secret: text)
    data = settings.data.model_copy(update={"patient_pattern": r"(?P<patient>person\d+)-"})
    return settings.model_copy(update={"data": data})


def test_other_images_of_patients_who_were_learned_are_left_out_and_counted(
    here: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, learned = draw(tmp_path / "more", 40), [f"person{number}" for number in (0, 1, 2)]
    here.settings = told_by_names(here.settings, monkeypatch)
    rows = pd.read_parquet(here.version.manifest).set_index("patient")
    assert set(rows.loc[learned[:2], "split"]) == {"train"} and set(rows.loc[learned[2:], "split"]) == {"validation"}
    names = sorted(place.rglob("*_000.png"))
    for path, patient in zip(names, learned, strict=False):
        path.rename(path.with_name(f"{patient}-again.png"))
    found = ask(here, str(place), calibrate=40)
    assert found.left_out == 3 and sum(found.images.values()) + sum(found.calibrated_on.values()) == 77
    described = here.tracker.registry.version(here.name, found.version).description
    assert "3 images are left out: their patients are in this version's own data set." in described


def test_a_place_of_learned_patients_alone_is_refused_and_says_why(
    here: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = draw(tmp_path / "more", 40)
    here.settings = told_by_names(here.settings, monkeypatch)
    for number, path in enumerate(sorted(place.rglob("NORMAL/*.png"))[9:]):
        path.rename(path.with_name(f"person{number % 2}-{number}.png"))
    with pytest.raises(DataError, match=r"got 9 NORMAL and \d+ PNEUMONIA without \d+ of patients in the data set of m"):
        ask(here, str(place))


def test_without_a_champion_there_is_nobody_to_ask(world: Any) -> None:
    with pytest.raises(PromotionError, match="Expected a champion"):
        ask(world, str(world.folder))
