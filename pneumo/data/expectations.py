"""What is expected of a data set, as two tables; `gate.py` checks them with Great Expectations.

`IMAGES` looks at every image (a column of the manifest, or one derived in `checks.py`), `FIGURES` at numbers of the
whole set. Limits were set on 5,216 images of children, 140 originals and 200 images of adults, so that known
oddities come out as warnings.
"""

from dataclasses import dataclass
from typing import Any, Literal

from pneumo.stages import LABELS, SUBTYPES

SMALLEST, LARGEST = 64, 10_000  # pixels


@dataclass(frozen=True)
class Expectation:
    """One row of the gate: an expectation class of Great Expectations on a column, and what it means in words.

    `quarantine` takes the offending images out of the data set, with the reason; the share of such images is limited.
    """

    name: str
    severity: Literal["error", "warning"]
    expected: str
    column: str
    kind: str
    arguments: dict[str, Any]
    quarantine: bool = False


def _null(
    name: str, severity: Literal["error", "warning"], expected: str, column: str, take_out: bool = False
) -> Expectation:
    return Expectation(name, severity, expected, column, "ExpectColumnValuesToBeNull", {}, take_out)


def _between(
    name: str,
    severity: Literal["error", "warning"],
    expected: str,
    column: str,
    bounds: tuple[float | None, float | None],
    take_out: bool = False,
) -> Expectation:
    low, high = bounds
    arguments = {"min_value": low, "max_value": high}
    return Expectation(name, severity, expected, column, "ExpectColumnValuesToBeBetween", arguments, take_out)


def _in_set(name: str, expected: str, column: str, values: tuple[str, ...]) -> Expectation:
    return Expectation(name, "error", expected, column, "ExpectColumnValuesToBeInSet", {"value_set": list(values)})


SIZE = f"{SMALLEST} to {LARGEST} pixels"
IMAGES = (
    _null("readable", "warning", "every file can be decoded", "error", take_out=True),
    _in_set("labels", f"labels are {' or '.join(LABELS)}", "label", LABELS),
    _in_set("subtypes", f"subtypes are {', '.join(SUBTYPES)}", "subtype", SUBTYPES),
    _between("width", "warning", f"width {SIZE}", "width", (SMALLEST, LARGEST), take_out=True),
    _between("height", "warning", f"height {SIZE}", "height", (SMALLEST, LARGEST), take_out=True),
    _between("aspect", "warning", "width is 1/3 to 3 times the height", "aspect", (1 / 3, 3)),
    _between(
        "not blank", "warning", "intensities vary (standard deviation at least 5)", "std", (5, None), take_out=True
    ),
    _between("not dark", "warning", "at most 60 % of the picture is black", "dark", (None, 0.6)),
    _between("not overexposed", "warning", "at most 20 % of the picture is white", "bright", (None, 0.2)),
    _between(
        "not inverted", "warning", "the border is not much brighter than the picture", "border_excess", (None, 25)
    ),
    _between(
        "chest-like", "warning", "left and right resemble each other (correlation at least 0)", "symmetry", (0, None)
    ),
    _between("no markers", "warning", "no bright letters or arrows near the edge", "marker", (None, 0.0015)),
    _null("one label per picture", "warning", "identical pictures have one label", "label_conflict", take_out=True),
    _null("name agrees with label", "warning", "file names do not contradict the label", "name_conflict"),
    _null("no duplicates across splits", "error", "no picture both in test and outside", "duplicate_across"),
    _null("no duplicates", "warning", "no picture twice", "duplicate"),
    _null(
        "no near-duplicates across splits", "warning", "no almost identical picture in test and outside", "near_across"
    ),
    _null("no near-duplicates", "warning", "no two almost identical pictures", "near_duplicate"),
    _null("no patient across splits", "error", "no patient both in test and outside", "patient_across"),
    _null(
        "no patient in train and val", "warning", "no patient in both (they are pooled and cut anew)", "patient_in_val"
    ),
)

FIGURES = (
    _between("both classes", "error", "images of both classes", "classes", (2, 2)),
    _between(
        "both classes in test", "error", "both classes in the test folder, if there is one", "classes_in_test", (2, 2)
    ),
    _between("class balance", "error", "the rarer class has at least 5 % of the images", "rarer_class", (0.05, None)),
    _between("patients per class", "warning", "at least 50 patients in each class", "patients_per_class", (50, None)),
    _between(
        "class share per split", "warning", "pneumonia share in test within 0.10 of the rest", "share_gap", (None, 0.1)
    ),
    _between(
        "colour tells no label",
        "warning",
        "share of colour files by class differs by at most 0.02",
        "colour_gap",
        (None, 0.02),
    ),
    _between(
        "markers tell no label",
        "warning",
        "share of images with markers by class differs by at most 0.05",
        "marker_gap",
        (None, 0.05),
    ),
    _between(
        "size tells no label", "warning", "AUC of the image size as a classifier at most 0.65", "size_auc", (None, 0.65)
    ),
    _between(
        "aspect tells no label", "warning", "AUC of the aspect as a classifier at most 0.65", "aspect_auc", (None, 0.65)
    ),
    _between(
        "brightness tells no label",
        "warning",
        "AUC of the brightness as a classifier at most 0.65",
        "brightness_auc",
        (None, 0.65),
    ),
    _between("quarantine", "error", "few images had to be taken out", "quarantined", (None, 0.01)),
)

DRIFT = (
    _between(
        "intensities as before",
        "warning",
        "stability index of intensities against the champion's data at most 0.2",
        "intensity_drift",
        (None, 0.2),
    ),
    _between(
        "sizes as before",
        "warning",
        "stability index of sizes against the champion's data at most 0.2",
        "size_drift",
        (None, 0.2),
    ),
)
