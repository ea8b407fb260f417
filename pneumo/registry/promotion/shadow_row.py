"""What a challenger said as the champion's shadow, shown among the gates; it warns where it was surely worse."""

from pathlib import Path

from pneumo.errors import DataError
from pneumo.monitoring.shadow_comparison import ShadowComparison, compare_shadows, difference
from pneumo.records.decision import PolicyRow
from pneumo.registry.promotion.severity import SHADOW
from pneumo.serving import shadow_log
from pneumo.serving.feedback import agreed
from pneumo.settings.unattended import Watch
from pneumo.tracking import ModelVersion

LIMIT = "ROC AUC on images with feedback not surely below the champion's"


def rows(home: Path, limits: Watch, challenger: ModelVersion, champion: str | None) -> list[PolicyRow]:
    """A row, if this state folder knows answers of the challenger as shadow of this champion, or cannot read them."""
    try:
        found = _found(home, limits, challenger, champion or "")
    except DataError as error:  # nothing that was trained for hours fails for what is only shown
        return [PolicyRow(name=SHADOW, limit=LIMIT, value=f"unknown: {error}", passed=False)]
    return [
        PolicyRow(
            name=SHADOW, limit=LIMIT, value=difference(one), passed=one.auc is None or one.auc.bootstrap.high >= 0
        )
        for one in found
    ]


def _found(home: Path, limits: Watch, challenger: ModelVersion, champion: str) -> list[ShadowComparison]:
    pairs, _ = shadow_log.read(home)
    own = (pairs["model"] == challenger.name) & (pairs["version"] == challenger.version)
    mine = pairs[own & (pairs["champion"] == champion)]
    return [] if mine.empty else compare_shadows(mine, agreed(home)[0].labels, limits.minimum_feedback)
