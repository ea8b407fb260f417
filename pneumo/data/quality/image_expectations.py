"""What is expected of every image, as a table (`IMAGES`); `gate.py` checks it with Great Expectations.

A row checks a column of the manifest, or one that `columns.py` adds. The limits were set on 5,216 images of children,
140 originals and 200 images of adults, so that known oddities become warnings.
"""

from dataclasses import dataclass
from typing import Any, Literal

from pneumo.records.base import LABELS, LEAST_DEVIATION, SUBTYPES

SMALLEST, LARGEST = 64, 10_000  # pixels
MARKER = 0.0015  # share of the picture's pixels
STOP: Literal["error"] = "error"
WARN: Literal["warning"] = "warning"


@dataclass(frozen=True)
class Test:
    """An expectation class of Great Expectations and its arguments."""

    kind: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Expectation:
    """One row of the gate: a test of a column, the test in words, and what a failure means for a model.

    `quarantine` takes the offending images out of the data set and notes why; the share of such images is limited.
    `needs_test` compares the source's own test images with the others; without any, the row is left out.
    """

    name: str
    severity: Literal["error", "warning"]
    column: str
    test: Test
    expected: str
    meaning: str = ""
    quarantine: bool = False
    needs_test: bool = False


def between(low: float | None, high: float | None) -> Test:
    """A test that values are in a range; None means no limit."""
    return Test("ExpectColumnValuesToBeBetween", {"min_value": low, "max_value": high})


def _in(values: tuple[str, ...]) -> Test:
    return Test("ExpectColumnValuesToBeInSet", {"value_set": list(values)})


def at_most(limit: float) -> Test:
    """A test that values are at most `limit`."""
    return between(None, limit)


EMPTY = Test("ExpectColumnValuesToBeNull", {})
SIZE = f"{SMALLEST} to {LARGEST:,} pixels"
OUT = "They were taken out."
KEPT = "They stay in one split."
NAMED = (
    "a label file's column (data.columns: {patient: ...}), a DICOM header, data.patient_pattern"
    " or a known kind of file name tells the patient"
)
LEAK = "Results on such images are better than they will be on new patients."
SHORTCUT = "A model can learn this instead of the lungs, and then fails where it is different."

E = Expectation
IMAGES = (
    E("readable", WARN, "unreadable", EMPTY, "every file can be decoded", OUT, quarantine=True),
    E(
        "chest from the front",
        WARN,
        "other_image",
        EMPTY,
        "no DICOM file says that it is another modality, body part or view",
        OUT,
        quarantine=True,
    ),
    E("labels", STOP, "label", _in(LABELS), f"labels are {' or '.join(LABELS)}"),
    E("subtypes", STOP, "subtype", _in(SUBTYPES), f"subtypes are {', '.join(SUBTYPES)}"),
    E("width", WARN, "width", between(SMALLEST, LARGEST), f"width {SIZE}", OUT, quarantine=True),
    E("height", WARN, "height", between(SMALLEST, LARGEST), f"height {SIZE}", OUT, quarantine=True),
    E(
        "aspect",
        WARN,
        "aspect",
        between(1 / 3, 3),
        "width is a third to three times the height",
        "Cropped, or half a chest?",
    ),
    E(
        "not blank",
        WARN,
        "std",
        between(LEAST_DEVIATION, None),
        f"gray values vary (deviation at least {LEAST_DEVIATION:.0f})",
        OUT,
        quarantine=True,
    ),
    E("not dark", WARN, "dark", at_most(0.6), "at most 60 % of the picture is black", "Collimated, or underexposed?"),
    E("not overexposed", WARN, "bright", at_most(0.2), "at most 20 % of the picture is white"),
    E("not inverted", WARN, "border_excess", at_most(25), "the border is at most 25 gray values above the mean"),
    E(
        "chest-like",
        WARN,
        "symmetry",
        between(0, None),
        "left and right resemble each other (correlation above 0)",
        "They are turned or cropped, one side is opaque, or they show no chest from the front.",
    ),
    E("no markers", WARN, "marker", at_most(MARKER), "no bright letters or arrows near the edge", SHORTCUT),
    E(
        "one label per picture",
        WARN,
        "label_conflict",
        EMPTY,
        "identical pictures have one label",
        "Nobody knows which label is right, so all of them were taken out.",
        quarantine=True,
    ),
    E(
        "name agrees with label",
        WARN,
        "name_conflict",
        EMPTY,
        "file names do not contradict the label",
        "A wrong label?",
    ),
    E(
        "no duplicates across splits",
        STOP,
        "duplicate_across",
        EMPTY,
        "no picture both in test and outside",
        LEAK,
        needs_test=True,
    ),
    E("no duplicates", WARN, "duplicate", EMPTY, "no picture twice", f"Copies weigh twice. {KEPT}"),
    E(
        "no near-duplicates across splits",
        WARN,
        "near_across",
        EMPTY,
        "no picture outside test is almost the same as one in test",
        "Those outside test were taken out, or results would be better than they will be on new patients.",
        quarantine=True,
        needs_test=True,
    ),
    E(
        "no near-duplicates",
        WARN,
        "near_duplicate",
        EMPTY,
        "no two almost identical pictures",
        f"The same picture, saved twice? {KEPT}",
    ),
    E(
        "patients are known",
        WARN,
        "patient_unknown",
        EMPTY,
        NAMED,
        "Each of the others counts as a patient of its own: a patient may be in several splits, and intervals are too"
        " narrow. The gate stops where no patient is known and the set is larger than gate.patients_unknown_limit.",
    ),
    E(
        "no patient across splits",
        STOP,
        "patient_across",
        EMPTY,
        "no patient both in test and outside",
        LEAK,
        needs_test=True,
    ),
    E(
        "no patient in train and val",
        WARN,
        "patient_in_val",
        EMPTY,
        "no patient in both",
        "They are pooled and cut anew by patient.",
    ),
)
