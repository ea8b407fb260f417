"""What a version answers on its validation images, for comparison with what it answers in use."""

from typing import TYPE_CHECKING

from pneumo.data.files import write_whole
from pneumo.registry.promotion import version_evidence
from pneumo.settings import Settings
from pneumo.tracking import Tracker

if TYPE_CHECKING:
    import pandas as pd

POINT = ("offset", "temperature", "threshold")  # tags of a version


def validation_answers(settings: Settings, model: str, version: str) -> "pd.DataFrame | None":
    """Probability and label of each validation image; the evidence is fetched once. Out-of-distribution is not known.

    None if other software registered the version.

    Raises:
        TrackingError: MLflow does not answer, or the evidence is gone.
    """
    import pandas as pd

    from pneumo.evaluation.measures import Operating, apply_operating
    from pneumo.records.base import LABELS

    tracker = Tracker.of(settings)
    found = tracker.registry.version(model, version)
    if found is None or not found.tags.keys() >= {*POINT, version_evidence.FILES}:
        return None
    path = settings.home / "cache" / "reference" / f"predictions-{found.tags[version_evidence.FILES][:16]}.parquet"
    if not path.is_file():
        with version_evidence.evidence_of(tracker, found) as folder:
            if folder is None:
                return None
            write_whole(path, (folder / version_evidence.PREDICTIONS).read_bytes())
    rows = pd.read_parquet(path, columns=["split", "logit"])
    operating = Operating(*(float(found.tags[name]) for name in POINT))
    scored = apply_operating(rows[rows["split"] == "validation"], operating)
    return scored.assign(label=scored["called"].map({False: LABELS[0], True: LABELS[1]}))
