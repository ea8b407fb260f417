"""Records of models: trained, evaluated, and scored on external sets."""

from pathlib import Path

from pneumo.records.base import Conformal, Interval, Record


class Candidate(Record):
    """A trained model: `model` is a .keras file, float32 (n, size, size, 1) in 0..255 -> logit (n, 1).

    `predictions` is Parquet with a row for each validation and test image:
    path, sha256, patient, label, subtype, split, logit.

    A candidate on embeddings takes float32 (n, width). It has no images to shift, so `shifted_auc` and
    `selection_score` are None. With `folds` above 1 it has as many networks of each backbone, each trained without one
    part of the patients; its branches are in their order.
    """

    name: str
    key: str
    run_id: str
    model: Path
    predictions: Path
    validation_auc: float
    shifted_auc: float | None
    selection_score: float | None
    minutes: float
    folds: int = 1


class Evaluation(Record):
    """A candidate's figures; `bundle` is the folder that is registered (model.keras, serving.json).

    Beside the bundle lies the folder `figures` with PNG files.

    `warnings` are sentences on what the model seems to use beside the lungs, `unmeasured` on what was not measured.
    `vectors` are the embeddings of the images if the model takes these instead of images; see `Vectors`.
    """

    name: str
    key: str
    run_id: str
    model_uri: str
    bundle: Path
    predictions: Path
    minutes: float
    threshold: float
    temperature: float
    offset: float
    selection_score: float | None
    validation_auc: float
    test_auc: Interval
    sensitivity: Interval
    specificity: Interval
    metrics: dict[str, float]
    slices: dict[str, dict[str, float]]
    warnings: tuple[str, ...] = ()
    unmeasured: tuple[str, ...] = ()
    vectors: Path | None = None
    conformal: Conformal | None = None


class External(Record):
    """A candidate on an external set; `out_of_distribution` is the share of images that are out-of-distribution.

    `left_out` counts images of patients in the data set, which are not among `images`. `verdict` is a sentence on
    whether the model generalises there. Figures are in `folder`/figures.
    """

    name: str
    source: str
    folder: Path
    images: int
    errors: int
    left_out: int = 0
    auc: Interval
    sensitivity: Interval
    specificity: Interval
    out_of_distribution: float
    metrics: dict[str, float]
    slices: dict[str, dict[str, float]]
    generalises: bool
    verdict: str


class LabelAudit(Record):
    """Images outside the test set whose label a person should look at: `suspects` of `images` that were judged.

    `source` says by whose probabilities. `folder` has labels.csv, ranked, and pictures.png of the first of them.
    """

    images: int
    suspects: int
    source: str
    folder: Path
