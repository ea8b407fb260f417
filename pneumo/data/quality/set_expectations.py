"""What is expected of a data set as a whole, in tables like that of `image_expectations.py`.

`FIGURES` checks figures of the whole set, `SHIFT` the source's own test folder, and `DRIFT` figures against the
champion's data.
"""

from pneumo.data.quality.image_expectations import SHORTCUT, STOP, WARN, at_most, between
from pneumo.data.quality.image_expectations import Expectation as E

TELLS_NOTHING = "alone does not give the label away (AUC at most 0.65; 0.5 is chance, 1 is certainty)"

FIGURES = (
    E("both classes", STOP, "classes", between(2, 2), "images of both classes"),
    E(
        "both classes in test",
        STOP,
        "classes_in_test",
        between(2, 2),
        "both classes in the test folder",
        needs_test=True,
    ),
    E("class balance", STOP, "rarer_class", between(0.05, None), "the rarer class has at least 5 % of the images"),
    E(
        "patients per class",
        WARN,
        "patients_per_class",
        between(50, None),
        "at least 50 patients in each class",
        "With so few, chance decides much of every result.",
    ),
    E(
        "groups are small",
        WARN,
        "largest_group",
        at_most(0.1),
        "patients joined by pictures that are alike have at most 10 % of the images",
        "Chains of pictures that are alike go to one split together, which leaves little for the others.",
    ),
    E(
        "class share per split",
        WARN,
        "share_gap",
        at_most(0.1),
        "pneumonia share in test within 0.1 of the rest",
        "Accuracy on test does not tell what to expect elsewhere.",
        needs_test=True,
    ),
    E(
        "colour tells no label",
        WARN,
        "colour_gap",
        at_most(0.02),
        "share of colour files by class differs by at most 0.02",
        "Every image is made gray before a model sees it.",
    ),
    E(
        "markers tell no label",
        WARN,
        "marker_gap",
        at_most(0.05),
        "share of marked images by class differs by at most 0.05",
        SHORTCUT,
    ),
    E(
        "size tells no label",
        WARN,
        "size_auc",
        at_most(0.65),
        f"the size {TELLS_NOTHING}",
        "All images are brought to one size, but sharpness may still tell.",
    ),
    E(
        "aspect tells no label",
        WARN,
        "aspect_auc",
        at_most(0.65),
        f"the shape {TELLS_NOTHING}",
        "Squashing to a square leaves it visible: see image fit.",
    ),
    E(
        "brightness tells no label",
        WARN,
        "brightness_auc",
        at_most(0.65),
        f"the mean brightness {TELLS_NOTHING}",
        SHORTCUT,
    ),
    E("quarantine", STOP, "quarantined", at_most(0.01), "few images had to be taken out"),
)

FROM_ELSEWHERE = "They were made in another way or place: expect lower figures on them than on validation."
TOLD_APART = "a linear model tells them from the others of their class by an AUC at most 0.1 above random halves"
SHIFT = (
    E("test normals as the others", WARN, "shift_normal", at_most(0.1), TOLD_APART, FROM_ELSEWHERE),
    E("test pneumonia as the others", WARN, "shift_pneumonia", at_most(0.1), TOLD_APART, FROM_ELSEWHERE),
)

OTHER = "The champion's results on its own data say less about these images."
DRIFT = (
    E(
        "intensities as before",
        WARN,
        "intensity_drift",
        at_most(0.2),
        "stability index against the champion's at most 0.2",
        OTHER,
    ),
    E(
        "sizes as before",
        WARN,
        "size_drift",
        at_most(0.2),
        "stability index against the champion's at most 0.2",
        OTHER,
    ),
)
