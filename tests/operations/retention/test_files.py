"""Files of the state folder: what is old and needed by nobody goes, all else stays."""

import os
from functools import partial

import pandas as pd
import pytest

from pneumo.cache import is_kept
from pneumo.data.store.versions import keep_version
from pneumo.operations import retention
from pneumo.operations.prefect_api import UNDER_WAY
from pneumo.operations.retention import files
from pneumo.registry.promotion import promotion_lock
from tests.operations.retention.conftest import LIMITS, aged, names

STILL = partial(partial, promotion_lock.still)  # of settings: as the command and the flow hand it in
ROW = {"path": "a", "sha256": "s", "label": "NORMAL", "subtype": "none", "patient": "p", "split": "train"}
OLD, YOUNG, ID = "0123456789abcdef", "fedcba9876543210", "-0000-4000-8000-0123456789ab"


def test_only_old_caches_checkpoints_reports_and_logs_go(tmp_path):
    gone, left = (
        {f"cache/train/{key}", f"cache/reference/{key}.parquet", f"checkpoints/{key}", f"runs/{key[:8]}{ID}",
         f"runs/predict-{key}", f"logs/train-{key}.log"} for key in (OLD, YOUNG)
    )  # fmt: skip
    for place in gone | left:
        aged(tmp_path / place, 11 if place in gone else 9)
    found = list(files.old_files(tmp_path, LIMITS, tuple))
    assert names(found) == gone
    for _, remove in found:
        remove()
    assert not any((tmp_path / place).exists() for place in gone)
    assert all((tmp_path / place).exists() for place in left)


def test_old_predictions_go_and_a_download_is_as_old_as_its_newest_file(tmp_path):
    predictions = {f"cache/reference/predictions-{key}.parquet": days for key, days in ((OLD, 11), (YOUNG, 9))}
    downloads = {f"cache/kagglehub/datasets/owner/{name}": days for name, days in (("old", 11), ("young", 9))}
    for place, days in predictions.items():
        aged(tmp_path / place, days)
    for place, days in downloads.items():
        file = tmp_path / place / "versions/1/a.jpeg"
        aged(file, days)
        for folder in (*file.parents[:3], tmp_path / "cache/kagglehub/datasets"):
            os.utime(folder, (1, 1))
    gone = {place for place, days in (predictions | downloads).items() if days == 11}
    assert names(files.old_files(tmp_path, LIMITS, tuple)) == gone


def test_copies_of_an_archive_go_one_by_one_unless_a_data_set_is_made_of_them(tmp_path, monkeypatch):
    used, needed = (tmp_path / f"cache/dicomweb/{key}" for key in (YOUNG, OLD))
    for folder in (used, needed):
        for number, days in enumerate((11, 9)):
            aged(folder / f"dicomweb-{number:024x}.dcm", days)
        os.utime(folder)
    monkeypatch.setattr(files, "_needed", lambda home, digests: [needed])
    assert names(files.old_files(tmp_path, LIMITS, tuple)) == {f"cache/dicomweb/{YOUNG}/dicomweb-{0:024x}.dcm"}


@pytest.mark.parametrize(
    "place",
    [
        "cache/pip/wheels",
        "cache/models/large",
        "cache/mine/.config",
        "checkpoints/epoch-3",
        "runs/exp7",
        "logs/nginx.log",
    ],
)
def test_what_others_keep_in_a_folder_that_became_the_state_folder_stays(tmp_path, place):
    aged(tmp_path / place, 999)
    assert not list(files.old_files(tmp_path, LIMITS, tuple))


def test_what_a_killed_process_left_goes_after_a_day(tmp_path):
    aged(tmp_path / "cache/train/.key.1a2b3c4d", 1.1)
    aged(tmp_path / "cache/train/.other.1a2b3c4d", 0.9)
    assert names(files.old_files(tmp_path, LIMITS, tuple)) == {"cache/train/.key.1a2b3c4d"}


def test_what_was_used_claimed_or_is_needed_since_the_plan_stays(tmp_path):
    digests = set()
    version = keep_version(pd.DataFrame([ROW]), "x", True, tmp_path / "images", tmp_path)
    for place in (
        "cache/train/aaaaaaaaaaaaaaaa",
        "cache/train/bbbbbbbbbbbbbbbb",
        "runs/cccccccc-0000-4000-8000-0123456789ab",
    ):
        aged(tmp_path / place, 11)
    for place in (version.manifest, version.manifest.with_name("version.json"), version.manifest.parent):
        os.utime(place, (1, 1))
    removals = list(files.old_files(tmp_path, LIMITS, lambda: digests))
    assert len(removals) == 4
    assert is_kept(tmp_path / "cache/train/aaaaaaaaaaaaaaaa")
    (tmp_path / "runs/cccccccc-0000-4000-8000-0123456789ab/process.json").write_text("{}")
    digests.add(version.digest)  # a rollback has made it the champion's
    assert {item.name for item, remove in removals if remove()} == {"cache/train/bbbbbbbbbbbbbbbb"}
    assert version.manifest.exists() and (tmp_path / "cache/train/aaaaaaaaaaaaaaaa/content").exists()


def test_locks_measurements_and_claimed_runs_stay(tmp_path):
    aged(tmp_path / "cache/train/key.lock", 99)
    aged(tmp_path / "cache/files.sqlite", 99)
    aged(tmp_path / "runs/dddddddd-0000-4000-8000-0123456789ab", 99)
    (tmp_path / "runs/dddddddd-0000-4000-8000-0123456789ab/process.json").write_text("{}")
    assert names(files.old_files(tmp_path, LIMITS, tuple)) == set()


def test_a_needed_data_set_stays_with_its_images(tmp_path):
    roots = [tmp_path / "cache" / "phantom" / name for name in ("d" * 16, "e" * 16)]
    versions = []
    for root in roots:
        row = pd.DataFrame([ROW | {"path": root.name}])
        versions.append(keep_version(row, "x", True, root / "chest_xray", tmp_path))
        aged(root / "chest_xray" / "a.jpeg", 99)
        for place in (
            root / "chest_xray",
            root,
            versions[-1].manifest,
            versions[-1].manifest.with_name("version.json"),
        ):
            os.utime(place, (1, 1))
        os.utime(versions[-1].manifest.parent, (1, 1))
    found = names(files.old_files(tmp_path, LIMITS, lambda: {versions[0].digest}))
    assert found == {"cache/phantom/eeeeeeeeeeeeeeee", f"cache/split/{versions[1].digest[:16]}"}


def test_a_long_log_loses_its_beginning_while_it_is_written(tmp_path):
    file = tmp_path / "services" / "prefect.log"
    file.parent.mkdir()
    with file.open("ab") as server:
        server.write(b"old line\n" * 500 + b"last line\n")
        server.flush()
        ((item, cut),) = files.long_logs(tmp_path, LIMITS)
        cut()
        server.write(b"next line\n")
    text = file.read_text()
    assert text.endswith("last line\nnext line\n")
    assert len(text) < 1000
    assert item.bytes > 0


@pytest.mark.services
@pytest.mark.parametrize("states", [("RUNNING",), ("RUNNING", "PAUSED")])
def test_no_cache_goes_while_a_training_works_or_waits_for_approval(settings, prefect, states):
    for run in prefect.api.runs((*UNDER_WAY, "PAUSED")):  # of other tests
        prefect.ask("POST", f"/flow_runs/{run['id']}/set_state", {"state": {"type": "CANCELLED"}, "force": True})
    for name in ("1" * 16, "2" * 16):
        aged(settings.home / "cache/train" / name, 99)
    (_, one), (_, other) = retention.plan(settings, STILL(settings))
    assert one()
    run = prefect.run(prefect.deployment("a training"), *states)
    assert not other() and (settings.home / "cache/train" / ("2" * 16)).exists()
    prefect.ask("POST", f"/flow_runs/{run}/set_state", {"state": {"type": "COMPLETED"}, "force": True})
    assert other()
