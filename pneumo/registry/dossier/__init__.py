"""The dossier of a version: the CHAI applied model card, CLAIM 2024 and TRIPOD+AI, filled from its run."""

from pneumo.tracking import Tracker
from pneumo.tracking.addresses import artifact

AT = "dossier/dossier.html"  # artifact of the version's run; the files for machines lie beside it


def page(tracker: Tracker, run_id: str) -> str | None:
    """Address of the dossier that a version's run keeps; None where it has none, as of other software's versions."""
    return artifact(tracker.runs.url(run_id), AT) if AT in tracker.runs.files(run_id, AT.partition("/")[0]) else None
