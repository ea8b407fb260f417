"""A version's figures on its own images at another operating point: measured anew, or left out with the reason."""

from pathlib import Path

import pandas as pd

from pneumo.evaluation.measures import Operating, apply_operating, measure, operating_figures
from pneumo.evaluation.robustness.slices import measure_slices
from pneumo.evaluation.statistics.conformal import FIGURES
from pneumo.records.model import Evaluation
from pneumo.registry.promotion import version_evidence

OF_LIMITS = {f"test_{name}" for name in FIGURES}  # of conformal limits, which are probabilities of the point before
SHIFTED = "shifted_"  # their scores are not kept with a version
LEFT_OUT = (
    "Sensitivity, specificity and calibration error under simulated shift, since a version keeps no scores of shifted"
    " images; those at the first operating point are with the version whose weights it has.",
    "The answer UNCERTAIN and its coverage, since the limits are probabilities of the operating point before.",
)


def at_point(kept: Path, before: Evaluation, operating: Operating, share: float) -> Evaluation:
    """The figures of a version's test and validation images at a new operating point.

    Args:
        kept: its evidence, see `version_evidence.keep`.
        before: its figures at the operating point before.
        operating: the new one.
        share: of pneumonia, 0 to 1, behind the new one.
    """
    rows = _rows(kept)
    test = apply_operating(rows[rows["split"] == "test"], operating)
    measures = measure(test, operating.temperature)
    held_out = operating_figures(rows[rows["split"] == "validation"], operating)
    metrics = {
        **{name: value for name, value in before.metrics.items() if not _is_of_the_point_before(name)},
        **{f"test_{name}": value for name, value in measures.flat().items()},
        **{f"validation_{name}": value for name, value in held_out.items()},
        **operating._asdict(),
        "fitted_prevalence": share,
    }
    figures = {name: measures.intervals[name] for name in ("sensitivity", "specificity")}
    left_out = (*before.unmeasured, *(line for line in LEFT_OUT if line not in before.unmeasured))
    said = {"metrics": metrics, "slices": measure_slices(test), "unmeasured": left_out, "conformal": None}
    return before.model_copy(update={**operating._asdict(), **figures, **said})


def _is_of_the_point_before(name: str) -> bool:
    return name in OF_LIMITS or name.startswith(SHIFTED)


def _rows(kept: Path) -> pd.DataFrame:
    """Predictions with the manifest's columns, by which slices are cut."""
    predictions = pd.read_parquet(kept / version_evidence.PREDICTIONS)
    manifest = pd.read_parquet(kept / version_evidence.MANIFEST)
    extra = [name for name in manifest.columns if name not in predictions.columns]
    return predictions.merge(manifest[["path", *extra]], on="path", validate="one_to_one")
