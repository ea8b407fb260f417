"""What a challenger said as the champion's shadow, shown among the gates; it warns where it was surely worse."""

from collections.abc import Sequence
from pathlib import Path

from pneumo.data.privacy.pseudonyms import patient_secret
from pneumo.errors import DataError
from pneumo.monitoring.realised import unlearned
from pneumo.monitoring.shadow_comparison import ShadowComparison, compare_shadows, difference
from pneumo.records.decision import PolicyRow
from pneumo.registry.promotion.severity import SHADOW
from pneumo.serving import shadow_log
from pneumo.serving.feedback import agreed
from pneumo.settings.unattended import Watch
from pneumo.tracking import ModelVersion

LIMIT = "ROC AUC on images with feedback not surely below the champion's"


def rows(
    home: Path, limits: Watch, challenger: ModelVersion, champion: str | None, manifests: Sequence[Path]
) -> list[PolicyRow]:
    """A row, if this state folder knows answers of the challenger as shadow of this champion, or cannot read them.

    Args:
        home: state folder, with the answers of the shadow and the feedback.
        limits: those of `mlflow.yaml`.
        challenger: the version that was the shadow.
        champion: number of the version that answered.
        manifests: of the data sets that the two learned from; feedback on images that they learned from is left out.
    """
    try:
        found = _found(home, limits, challenger, champion or "", manifests)
    except DataError as error:  # nothing that was trained for hours fails for what is only shown
        return [PolicyRow(name=SHADOW, limit=LIMIT, value=f"unknown: {error}", passed=False)]
    return [
        PolicyRow(
            name=SHADOW, limit=LIMIT, value=difference(one), passed=one.auc is None or one.auc.bootstrap.high >= 0
        )
        for one in found
    ]


def _found(
    home: Path, limits: Watch, challenger: ModelVersion, champion: str, manifests: Sequence[Path]
) -> list[ShadowComparison]:
    pairs, _ = shadow_log.read(home)
    own = (pairs["model"] == challenger.name) & (pairs["version"] == challenger.version)
    mine = pairs[own & (pairs["champion"] == champion)]
    if mine.empty:
        return []
    labels, secret = agreed(home)[0].labels, patient_secret(home)
    for manifest in manifests:
        labels = unlearned(labels, manifest, secret)
    return compare_shadows(mine, labels, limits.minimum_feedback)
