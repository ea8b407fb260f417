import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pneumo.data.image_statistics import SIZE, statistics
from pneumo.data.quality.columns import drift_figures
from pneumo.data.quality.two_sample_test import excess
from pneumo.data.sources import phantom
from pneumo.monitoring import drift
from pneumo.monitoring.drift import Drift, LastRequest
from pneumo.records.base import LABELS
from pneumo.settings.unattended import Watch


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = phantom.draw(tmp_path_factory.mktemp("home"), 120)
    files = sorted(folder.rglob("*.jpeg"))
    return [np.asarray(Image.open(file).resize((SIZE, SIZE))) for file in files]


def manifest(pictures, split="train"):
    table = pd.DataFrame(statistics(np.stack(pictures))).assign(width=256, height=256, split=split, error=None)
    table["label"] = [LABELS[number % 2] for number in range(len(table))]
    return table.rename(columns={"pixels": "sha256"}).assign(patient=lambda rows: rows["sha256"])


def test_images_of_the_same_kind_are_no_drift_even_if_they_are_few(pictures):
    now, then = manifest(pictures[::4]), manifest([picture for place, picture in enumerate(pictures) if place % 4])
    assert drift.embedding_drift(now, then) < 0.05


def test_the_embedding_sees_what_intensity_and_size_do_not(pictures):
    """The same pictures upside down have the same histograms."""
    upside_down = [np.ascontiguousarray(picture[::-1]) for picture in pictures[::2]]
    now, then = manifest(upside_down), manifest(pictures[1::2])
    assert drift_figures(now, then)["intensity_drift"] < 0.05
    assert drift.embedding_drift(now, then) > 0.25


def test_only_new_contents_are_counted_and_few_are_not_judged(pictures):
    then, now = manifest(pictures[:80]), manifest(pictures[:90] + pictures[:5])
    found = drift.measure_drift(now, "3", then, fewest=30)
    assert (found.images, found.known, found.new, found.figures) == (90, 80, 10, {})
    assert found.share == 10 / 80
    judged = drift.measure_drift(manifest(pictures), "3", then, fewest=30)
    assert set(judged.figures) == {"intensity_drift", "size_drift", "embedding_drift"}
    held_out = manifest([255 - picture for picture in pictures[:40]], "test")
    more = drift.measure_drift(manifest(pictures), "3", pd.concat([then, held_out], ignore_index=True), fewest=30)
    assert (more.known, more.figures) == (120, judged.figures)  # drift is from the training images


@pytest.mark.parametrize(
    ("lacks", "told"),
    [(["phash"], {"intensity_drift", "size_drift"}), (["phash", "histogram", "symmetry"], {"size_drift"})],
)
def test_a_champion_of_before_is_compared_by_what_its_manifest_tells(pictures, lacks, told):
    then = manifest(pictures[:80]).drop(columns=lacks)
    found = drift.measure_drift(manifest(pictures), "3", then, fewest=30)
    assert (set(found.figures), found.audit) == (told, None)


def test_a_look_says_whether_new_images_are_from_elsewhere(pictures):
    then, here = (
        manifest(pictures[:80]),
        drift.measure_drift(manifest(pictures), "3", manifest(pictures[:80]), fewest=30),
    )
    assert all(excess(row) == 0 for row in here.audit.rows)
    dark = manifest([(picture * 0.7).astype("uint8") for picture in pictures[60:]])
    assert all(excess(row) > 0.3 for row in drift.measure_drift(dark, "3", then, fewest=30).audit.rows)
    assert drift.measure_drift(manifest(pictures[:90]), "3", then, fewest=30).audit is None


def look(new, champion="1", known=1000, **figures):
    return Drift(champion=champion, images=known + new, known=known, new=new, figures=figures)


WATCH = Watch(new_images=100, new_share=0.5, drift=0.25)


def test_enough_new_images_are_announced_once(pictures):
    assert drift.reasons(look(99), LastRequest(), WATCH)[0] == []
    words, known = drift.reasons(look(100), LastRequest(), WATCH)
    assert words == ["100 images are new to champion 1 (10% of its data set)"]
    assert drift.reasons(look(150), known, WATCH)[0] == []
    assert drift.reasons(look(200), known, WATCH)[0] != []
    assert drift.reasons(look(100, champion="2"), known, WATCH)[0] != []


def test_a_large_share_of_a_small_data_set_is_enough():
    assert drift.reasons(look(10, known=20), LastRequest(), WATCH)[0] != []


def test_drift_is_announced_once():
    words, known = drift.reasons(look(40, size_drift=0.3, intensity_drift=0.1), LastRequest(), WATCH)
    assert words == ["size drift is 0.30, above 0.25"]
    assert drift.reasons(look(41, size_drift=0.4), known, WATCH)[0] == []


def test_the_series_is_plotted_with_its_limit():
    figure = drift.plot({"size_drift": [(1e9, 0.1), (1.1e9, 0.2)]}, 0.25)
    names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert names == ["size drift", "limit"]


def test_people_are_told_of_drift_once_for_each_champion():
    first = drift.LastRequest(champion="1", new=9, drift=True)
    assert drift.is_news(drift.LastRequest(), first)
    assert not drift.is_news(first, first.model_copy(update={"new": 20}))
    assert drift.is_news(first, drift.LastRequest(champion="2", new=9, drift=True))
