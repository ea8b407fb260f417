"""What a challenger said as the champion's shadow, shown among the gates; it warns where it was surely worse."""

from pathlib import Path
from typing import TYPE_CHECKING

from pneumo.data.privacy.pseudonyms import patient_secret
from pneumo.errors import DataError
from pneumo.monitoring.realised import unlearned
from pneumo.monitoring.shadow_comparison import ShadowComparison, compare_shadows, difference
from pneumo.records.data import DatasetVersion
from pneumo.records.decision import PolicyRow
from pneumo.registry.champion import champion_manifest
from pneumo.registry.promotion.severity import SHADOW
from pneumo.serving import shadow_log
from pneumo.serving.feedback import agreed
from pneumo.settings import Settings
from pneumo.tracking import ModelVersion

if TYPE_CHECKING:
    import pandas as pd

LIMIT = "ROC AUC on images with feedback not surely below the champion's"


def rows(
    home: Path, settings: Settings, data: DatasetVersion, challenger: ModelVersion, champion: str | None
) -> list[PolicyRow]:
    """A row, if this state folder knows answers of the challenger as shadow of this champion, or cannot read them.

    Args:
        home: state folder, with the answers of the shadow and the feedback.
        settings: limits, and where the champion's data set is found.
        data: what the challenger was trained on.
        challenger: the version that was the shadow.
        champion: number of the version that answered.
    """
    try:
        found = _found(home, settings, data, challenger, champion or "")
    except DataError as error:  # nothing that was trained for hours fails for what is only shown
        return [PolicyRow(name=SHADOW, limit=LIMIT, value=f"unknown: {error}", passed=False)]
    return [
        PolicyRow(
            name=SHADOW, limit=LIMIT, value=difference(one), passed=one.auc is None or one.auc.bootstrap.high >= 0
        )
        for one in found
    ]


def _found(
    home: Path, settings: Settings, data: DatasetVersion, challenger: ModelVersion, champion: str
) -> list[ShadowComparison]:
    pairs, _ = shadow_log.read(home)
    own = (pairs["model"] == challenger.name) & (pairs["version"] == challenger.version)
    mine = pairs[own & (pairs["champion"] == champion)]
    return [] if mine.empty else compare_shadows(mine, _labels(home, settings, data), settings.watch.minimum_feedback)


def _labels(home: Path, settings: Settings, data: DatasetVersion) -> "pd.Series[str]":
    """What readers agree on, without images that either version learned from."""
    labels, secret = agreed(home)[0].labels, patient_secret(home)
    for manifest in (data.manifest, champion_manifest(settings, data.synthetic, home)):
        labels = unlearned(labels, manifest, secret) if manifest else labels
    return labels
