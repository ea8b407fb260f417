import numpy as np
import pandas as pd

from pneumo.evaluation.heat_maps import pick
from pneumo.serving.overlay import overlay


def test_surest_hits_and_worst_errors_come_first():
    rows = pd.DataFrame({
        "label": ["NORMAL"] * 4 + ["PNEUMONIA"] * 3,
        "probability": [0.9, 0.1, 0.7, 0.2, 0.3, 0.8, 0.99],
        "called": [True, False, True, False, False, True, True],
    })  # fmt: skip
    hits, errors = pick(rows, "NORMAL")
    assert hits["probability"].tolist() == [0.1, 0.2] and errors["probability"].tolist() == [0.9, 0.7]
    hits, errors = pick(rows, "PNEUMONIA", count=1)
    assert hits["probability"].tolist() == [0.99] and errors["probability"].tolist() == [0.3]


def test_what_speaks_for_pneumonia_is_red_and_what_speaks_against_it_blue():
    image, heat = np.full((32, 32), 100, np.uint8), np.array([[1.0, -1.0]], np.float32)
    drawn = overlay(image, heat).astype(int)
    assert drawn[16, 0, 0] > 150 > drawn[16, 0, 2] and drawn[16, -1, 2] > 150 > drawn[16, -1, 0]


def test_an_undecided_map_leaves_the_image_gray():
    image = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    assert (overlay(image, np.zeros((2, 2), np.float32)) == image[..., None]).all()
