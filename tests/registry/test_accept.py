"""A version on labelled images of another place, and what is registered of it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from pneumo.cli import app
from pneumo.data import manifest
from pneumo.errors import DataError, PneumoError, PromotionError, TrackingError
from pneumo.evaluation.measures import Operating
from pneumo.registry.acceptance import subject
from pneumo.registry.acceptance.accept import accept
from pneumo.registry.history import history
from pneumo.registry.promotion import comparison, load_check, version_evidence
from pneumo.serving.fresh_process.client import Answer
from pneumo.settings import Settings
from pneumo.tracking import package
from pneumo.tracking.bundles import Bundles
from pneumo.tracking.run_log import RunLog
from pneumo.tracking.system import REQUESTER

LIMITS = {"maximum_calibration_error": 0.12, "minimum_specificity": 0.5, "minimum_sensitivity": 0.7}


def draw(folder: Path, patients: int, shift: float = 40, first: int = 0) -> Path:
    """Two images a patient, every third one ill; all are brighter than at home, so a model of brightness cries wolf."""
    for number in range(first, first + patients):
        random, ill = np.random.default_rng([7, number]), number % 3 == 0
        centre = (150 if ill else 106) + random.normal(0, 12) + shift
        for image in range(2):
            pixels = random.normal(centre + random.normal(0, 4), 8, (64, 64)).clip(0, 255).astype(np.uint8)
            file = folder / ("PNEUMONIA" if ill else "NORMAL") / f"{number:08d}_{image:03d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file)
    return folder


@pytest.fixture
def here(world: Any, quick: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A champion, and the labels of another place in `here.place`."""
    monkeypatch.setattr(subject, "ask", load_check.ask)
    log = Bundles.log
    monkeypatch.setattr(Bundles, "log", lambda *args: log(*args[:5], world.model_file))
    world.policy(**LIMITS)
    assert world.promote(world.candidate("fair", noise=1.0)).promoted
    world.place = str(draw(world.folder / "our_xrays", 90))
    return world


def ask(world: Any, source: str | None = None, **options: Any) -> Any:
    return accept(source or world.place, world.settings, world.home, **options)


class Killed(BaseException):
    """The process ends here."""


def killed(*args: Any) -> None:
    raise Killed


def away(*args: Any) -> None:
    raise TrackingError("MLflow is away")


def evidence(world: Any, run_url: str, folder: Path) -> Path:
    return world.tracker.files.download(f"runs:/{run_url.partition('?')[0].rpartition('/')[2]}/accept", folder)


def spec(world: Any, version: str, folder: Path) -> dict[str, Any]:
    (file,) = world.tracker.files.download(f"models:/{world.name}/{version}", folder).rglob("serving.json")
    return json.loads(file.read_text())


def test_a_version_is_measured_where_it_shall_work_and_nothing_is_registered(here: Any, tmp_path: Path) -> None:
    found = ask(here)
    assert found.images == {"NORMAL": 120, "PNEUMONIA": 60} and found.patients == 90
    assert found.before.auc.low > 0.8 and not found.generalises  # 1.0 at home, 0.91 here
    assert not found.accepted and "specificity is" in found.reason and "--calibrate 100" in found.advice
    assert (found.version, found.after, len(here.tracker.registry.versions(here.name))) == (None, None, 1)
    kept = evidence(here, found.run_url, tmp_path / "kept")
    assert {file.name for file in kept.rglob("*.*")} == {
        "report.json", "scored.parquet", "roc.png", "reliability.png", "confusion.png",
    }  # fmt: skip
    assert json.loads((kept / "report.json").read_text()) == found.model_dump(mode="json")


def test_calibrating_registers_the_same_files_with_another_operating_point(here: Any, tmp_path: Path) -> None:
    found = ask(here, calibrate=60)
    assert found.calibrated_on == {"NORMAL": 40, "PNEUMONIA": 20} and found.images == {"NORMAL": 80, "PNEUMONIA": 40}
    assert found.after.calibration_error.value < 0.12 < found.before.calibration_error.value
    assert found.after.specificity.value > found.before.specificity.value
    assert found.accepted and (found.version, found.alias) == ("2", "accepted")
    before, after = spec(here, "1", tmp_path / "1"), spec(here, "2", tmp_path / "2")
    assert {name for name in before if before[name] != after[name]} == {"offset", "temperature", "threshold"}
    assert after["threshold"] == found.after.threshold
    assert here.aliases() == {"champion": "1", "challenger": "1", "previous": None}
    assert here.tracker.registry.alias(here.name, "accepted") == "2"


def test_the_new_version_has_evidence_card_tags_and_history(here: Any, tmp_path: Path) -> None:
    run = here.tracker.runs.start("asked for", tags={REQUESTER: "anna"})
    found = ask(here, calibrate=60, run_id=run)
    version = here.tracker.registry.version(here.name, "2")
    assert version.tags["accept.parent"] == "1" and version.tags["accept"] == "accepted"
    assert version.tags["offset"] == repr(found.after.offset) and version.tags["auc"]
    assert "Not a medical device" in version.description and "40 NORMAL and 20 PNEUMONIA" in version.description
    entry = history(here.settings)[-1]
    assert (entry.action, entry.version, entry.champion, entry.took_effect) == ("calibration", "2", "1", False)
    assert entry.who == "anna"
    report = here.tracker.files.download(entry.evidence, tmp_path / "report")
    assert json.loads(report.read_text())["version"] == "2"
    with version_evidence.evidence_of(here.tracker, version) as kept:
        assert len(version_evidence.calibrated_on(kept)) == 60
        evaluation = json.loads((kept / version_evidence.EVALUATION).read_text())
    assert evaluation["threshold"] == found.after.threshold
    # At home, where images are darker, the new point misses more.
    assert evaluation["sensitivity"]["value"] < found.home_sensitivity.value


def test_the_new_version_has_a_dossier_with_the_figures_of_the_place(here: Any, tmp_path: Path) -> None:
    run = here.tracker.runs.start("asked for")
    found = ask(here, calibrate=60, run_id=run)
    folder = here.tracker.files.download(f"runs:/{run}/dossier", tmp_path)
    filled = json.loads((folder / "tripod-ai.json").read_text())
    assert (filled["version"], filled["run"], filled["pipeline_run"]) == ("2", run, here.parent)
    items = {row["number"]: row for row in filled["items"]}
    assert "fitted on 40 NORMAL and 20 PNEUMONIA images of our_xrays" in items["12f"]["answer"]
    assert f"now, ROC AUC {found.after.auc:.3f}" in items["24"]["answer"] and items["24"]["status"] == "answered"
    assert f"called PNEUMONIA from {found.after.threshold:.4f} on" in items["12g"]["answer"]
    assert items["24"]["evidence"] == ["accept/report.json"]
    assert "artifacts/dossier/dossier.html" in here.tracker.registry.version(here.name, "2").description


def test_no_patient_calibrates_and_judges(here: Any, tmp_path: Path) -> None:
    rows = pd.read_parquet(evidence(here, ask(here, calibrate=60).run_url, tmp_path) / "scored.parquet")
    sides = rows.groupby("patient")["calibrated_on"].nunique()
    assert set(sides) == {1} and rows["calibrated_on"].sum() == 60


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


def test_the_same_question_twice_is_one_version(here: Any) -> None:
    first, second = ask(here, calibrate=60), ask(here, calibrate=60)
    assert (first.version, second.version) == ("2", "2") and first.after == second.after
    assert [row.action for row in history(here.settings)] == ["promotion", "calibration", "calibration"]


def test_what_is_judged_anew_and_not_accepted_is_told_so_and_loses_the_alias(here: Any, monkeypatch: Any) -> None:
    ask(here, calibrate=60)
    here.policy(**LIMITS | {"minimum_auc": 0.999})
    with monkeypatch.context() as patch, pytest.raises(TrackingError, match="away"):
        patch.setattr(RunLog, "text", away)
        ask(here, calibrate=60)
    left = here.tracker.registry.version(here.name, "2")
    assert left.tags["accept"] == "accepted" and "It was not accepted" not in left.description
    assert here.tracker.registry.alias(here.name, "accepted") == "2"
    assert ask(here, calibrate=60).version == "2"
    judged = here.tracker.registry.version(here.name, "2")
    assert judged.tags["accept"] == "not accepted" and "It was not accepted" in judged.description
    assert here.tracker.registry.alias(here.name, "accepted") is None
    assert "Not accepted" in history(here.settings)[-1].reason


def test_a_version_that_is_not_accepted_leaves_the_alias_of_another(here: Any) -> None:
    ask(here, calibrate=60)
    here.policy(**LIMITS | {"minimum_auc": 0.999})
    assert ask(here, calibrate=80).version == "3"
    assert here.tracker.registry.alias(here.name, "accepted") == "2"


@pytest.mark.parametrize("step", ["load_check.says", "alias_switch.move"])
def test_what_a_kill_left_is_no_version_until_it_was_checked(here: Any, monkeypatch: Any, step: str) -> None:
    """Killed while the new version is asked, or before the alias moves; a process that is killed undoes nothing."""
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(version_evidence, "mark_undone", lambda *args: None)
        patch.setattr(f"pneumo.registry.promotion.{step}", killed)
        ask(here, calibrate=60)
    left, checked = here.tracker.registry.version(here.name, "2"), step == "alias_switch.move"
    assert here.tracker.registry.alias(here.name, "accepted") is None
    assert bool(left.tags[version_evidence.UNDONE]) is not checked
    again = ask(here, calibrate=60)
    assert (again.version, again.alias) == ("2" if checked else "3", "accepted")
    found = here.tracker.registry.version(here.name, again.version)
    assert "Not a medical device" in found.description and not found.tags[version_evidence.UNDONE]
    told = [(row.action, row.version) for row in history(here.settings)]
    assert told == [("promotion", "1"), *[("calibration", again.version)] * (2 if checked else 1)]


def test_a_version_is_not_judged_by_the_patients_that_calibrated_it(here: Any) -> None:
    ask(here, calibrate=60)
    again = ask(here, model=f"models:/{here.name}@accepted")
    assert again.left_out == 60 and again.accepted and again.model.endswith("/2")
    assert again.images == {"NORMAL": 80, "PNEUMONIA": 40}


def test_what_calibrated_a_version_counts_as_seen_in_a_later_contest(here: Any) -> None:
    ask(here, calibrate=60)
    with version_evidence.evidence_of(here.tracker, here.tracker.registry.version(here.name, "2")) as kept:
        test = version_evidence.calibrated_on(kept).assign(patient="other")
        assert comparison._seen(test, kept).all()


def test_a_share_of_pneumonia_moves_probabilities_and_no_call(here: Any, tmp_path: Path) -> None:
    found = ask(here, prevalence=0.05)
    assert found.before.sensitivity == found.after.sensitivity and found.before.specificity == found.after.specificity
    assert found.after.temperature == found.before.temperature and found.after.offset < found.before.offset
    assert found.after.calibration_error.value < found.before.calibration_error.value
    assert here.tracker.registry.version(here.name, "2").tags[version_evidence.PREVALENCE] == "0.05"
    # From there back to half and half, the share among the validation images at home.
    back = ask(here, prevalence=0.5, model=f"models:/{here.name}/2")
    assert back.after.offset == pytest.approx(spec(here, "1", tmp_path)["offset"])


def test_a_share_moves_a_calibrated_point_from_the_share_of_its_images(here: Any) -> None:
    plain, rare = ask(here, calibrate=60), ask(here, calibrate=60, prevalence=0.1)
    step = np.log(0.1 / 0.9) - np.log((1 / 3) / (2 / 3))
    assert rare.after.offset == pytest.approx(plain.after.offset + plain.after.temperature * step)
    assert rare.after.sensitivity == plain.after.sensitivity


def test_a_version_that_is_not_accepted_has_no_alias(here: Any) -> None:
    here.policy(**LIMITS | {"minimum_auc": 0.999})
    found = ask(here, calibrate=60)
    assert (found.accepted, found.version, found.alias) == (False, "2", None)
    assert here.tracker.registry.alias(here.name, "accepted") is None
    assert "No operating point can repair this" in found.advice


def test_what_does_not_answer_as_it_should_is_marked_and_not_used_again(
    here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(load_check, "says", lambda *_: (False, "largest difference 3.0e-01"))
        with pytest.raises(PromotionError, match=r"but largest difference 3\.0e-01: it is marked as undone"):
            ask(here, calibrate=60)
    assert "ended before its decision" in here.tracker.registry.version(here.name, "2").tags["undone"]
    assert here.tracker.registry.alias(here.name, "accepted") is None
    assert [row.action for row in history(here.settings)] == ["promotion"]
    assert here.tracker.runs.newest({"stage": "accept", "model": f"models:/{here.name}/1"}, "FAILED")
    assert ask(here, calibrate=60).version == "3"


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


def test_a_later_promotion_is_not_confused(here: Any) -> None:
    ask(here, calibrate=60)
    here.policy(tie="promote")
    assert here.promote(here.candidate("good", noise=0.1)).version == "3"
    assert here.aliases()["champion"] == "3" and here.tracker.registry.alias(here.name, "accepted") == "2"


def test_the_command_shows_both_points_and_how_to_use_the_new_one(here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PNEUMO_HOME", str(here.home))
    monkeypatch.setenv("PNEUMO_TRACKING__URI", here.tracker.uri)
    monkeypatch.setenv("PNEUMO_REGISTRY__MODEL", here.name)
    for name, value in LIMITS.items():
        monkeypatch.setenv(f"PNEUMO_PROMOTION__{name.upper()}", str(value))
    done = CliRunner().invoke(app, ["accept", here.place, "--calibrate", "60"])
    assert done.exit_code == 0, done.output
    assert "here, new point" in done.output and "Too small to know every figure within 0.05" in done.output
    assert f"pneumo predict FOLDER --model models:/{here.name}@accepted" in done.output
    done = CliRunner().invoke(app, ["accept", here.place, "--json"])
    assert json.loads(done.stdout)["version"] is None


@pytest.mark.slow
def test_the_deployment_s_flow_does_the_same(here: Any, prefect_server: str) -> None:
    program = "import sys; from flows.accept import accept; print(accept(sys.argv[1], return_state=True).message)"
    environment = os.environ | {
        "PREFECT_API_URL": prefect_server,
        "PREFECT_HOME": str(here.folder / "prefect"),
        "PNEUMO_HOME": str(here.home),
        "PNEUMO_TRACKING__URI": here.tracker.uri,
        "PNEUMO_TRACKING__EXPERIMENT": here.tracker.experiment,
        "PNEUMO_REGISTRY__MODEL": here.name,
        **{f"PNEUMO_PROMOTION__{name.upper()}": str(value) for name, value in LIMITS.items()},
    }
    done = subprocess.run(
        [sys.executable, "-c", program, here.place],
        env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "Not accepted at our_xrays: specificity is" in done.stdout, done.stderr
    (run,) = here.tracker.runs.newest({"stage": "accept", "model": f"models:/{here.name}/1"})
    assert run.tags["prefect.flow_run_id"] and run.tags["accepted"] == "false"
