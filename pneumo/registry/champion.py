"""Who is champion now."""

from datetime import UTC, datetime

from pneumo.registry import history, records
from pneumo.settings import Settings
from pneumo.stages import Interval, Record
from pneumo.tracking import ModelVersion, Tracker


class ChampionInfo(Record):
    """The version with the champion's alias.

    `auc` is of its test images with its 95 % interval; None for a version registered by other hands. `since` is the
    time of the move; None if the alias was set by other hands.
    """

    registered_model: str
    version: str
    name: str
    auc: Interval | None
    dataset_digest: str
    synthetic: bool
    since: datetime | None
    registered: datetime
    run_url: str


def champion(settings: Settings, synthetic: bool = False) -> ChampionInfo | None:
    """The champion of real images, or of the drawn ones; None when there is none.

    Raises:
        TrackingError: MLflow does not answer.
    """
    tracker = Tracker(settings.tracking_uri, settings.tracking.experiment)
    name = settings.model_name(synthetic)
    number = tracker.alias(name, settings.registry.champion)
    found = tracker.version(name, number) if number else None
    if found is None:
        return None
    moves = [row for row in history.judged(history.read(tracker, name), found.version) if row.took_effect]
    return ChampionInfo(
        registered_model=name,
        version=found.version,
        name=found.tags.get("candidate", ""),
        auc=_auc(found),
        dataset_digest=found.tags.get(records.DIGEST, ""),
        synthetic=synthetic,
        since=moves[-1].when if moves and moves[-1].version == found.version else None,
        registered=datetime.fromtimestamp(found.created, UTC),
        run_url=tracker.run_url(found.run_id),
    )


def _auc(found: ModelVersion) -> Interval | None:
    if "auc" not in found.tags:
        return None
    value, low, high = (float(found.tags[tag]) for tag in ("auc", "auc.low", "auc.high"))
    return Interval(value=value, low=low, high=high)
