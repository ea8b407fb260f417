"""Who is champion now, and on what it was trained."""

from datetime import UTC, datetime
from pathlib import Path

from pneumo.data.files import write_whole
from pneumo.errors import PromotionError
from pneumo.records.base import Interval, Record
from pneumo.records.decision import DecisionCount
from pneumo.registry import history, test_set_use
from pneumo.registry.promotion import version_evidence
from pneumo.settings import Settings
from pneumo.tracking import ModelVersion, Tracker


class ChampionInfo(Record):
    """The version with the champion's alias.

    `auc` is of its test images with its 95 % interval; None for a version registered by other software. `since` is the
    time of the move; None if the alias was set by hand. `look` is the decision that made it champion;
    `decisions` and `promotions` are all that were made on the same test images up to now.
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
    look: DecisionCount | None = None
    decisions: int = 0
    promotions: int = 0


class Refused(Record):
    """The version that was refused last, why, and what to do; `when` is UTC."""

    registered_model: str
    version: str
    name: str
    when: datetime
    reason: str
    remedy: str
    evidence: str


def champion(settings: Settings, synthetic: bool = False) -> ChampionInfo | None:
    """The champion of real images, or of the drawn ones; None when there is none.

    Raises:
        TrackingError: MLflow does not answer.
    """
    tracker, name, found = _serving(settings, synthetic)
    if found is None:
        return None
    rows = history.registry_state(tracker, name, settings.registry).rows
    moves = [row for row in rows if row.took_effect]
    look = next((row.look for row in reversed(moves) if row.version == found.version and row.look), None)
    made = test_set_use.looks(rows, look.sketch).values() if look else ()
    return ChampionInfo(
        registered_model=name,
        version=found.version,
        name=found.tags.get("candidate", ""),
        auc=_auc(found),
        dataset_digest=found.tags.get(version_evidence.DIGEST, ""),
        synthetic=synthetic,
        since=moves[-1].when if moves and moves[-1].version == found.version else None,
        registered=datetime.fromtimestamp(found.created, UTC),
        run_url=tracker.runs.url(found.run_id),
        look=look,
        decisions=len(made),
        promotions=sum(row.action == "promotion" and row.took_effect for row in made),
    )


def champion_manifest(settings: Settings, synthetic: bool, home: Path) -> Path | None:
    """Manifest of the champion's data set, as it was kept with its run; fetched once.

    None when there is no champion yet, or it was registered by other software.

    Raises:
        TrackingError: MLflow does not answer, or has lost what was kept.
    """
    tracker, _, found = _serving(settings, synthetic)
    if found is None:
        return None
    path = home / "cache" / "reference" / f"{found.tags.get(version_evidence.DIGEST, '')[:16]}.parquet"
    if not path.is_file():
        with version_evidence.evidence_of(tracker, found) as folder:
            if folder is None:
                return None
            write_whole(path, (folder / version_evidence.MANIFEST).read_bytes())
    return path


def refused(settings: Settings, synthetic: bool = False) -> Refused | None:
    """The newest version that was refused; None when there is none.

    Raises:
        TrackingError: MLflow does not answer.
    """
    tracker = Tracker.of(settings)
    name = settings.model_name(synthetic)
    rows = history.registry_state(tracker, name, settings.registry).rows
    last = next((row for row in reversed(rows) if row.action == "rejection" and not row.withdrawn), None)
    if last is None:
        return None
    told = last.model_dump(include={"version", "name", "when", "reason", "remedy", "evidence"})
    return Refused(registered_model=name, **told)


def chosen(tracker: Tracker, settings: Settings, model: str | None = None, synthetic: bool = False) -> ModelVersion:
    """The version that somebody wants to use: "models:/name/3", "models:/name@alias", or by default the champion.

    Raises:
        PromotionError: there is no champion.
        TrackingError: there is no such version, or MLflow does not answer.
    """
    if model:
        return tracker.registry.resolve(model)
    name = settings.model_name(synthetic)
    if tracker.registry.alias(name, settings.registry.champion) is None:
        raise PromotionError(
            f"Expected a champion of {name}, but there is none yet: promote one with `pneumo train`, "
            "or name a version, such as models:/name/1."
        )
    return tracker.registry.resolve(f"models:/{name}@{settings.registry.champion}")


def _auc(found: ModelVersion) -> Interval | None:
    if "auc" not in found.tags:
        return None
    value, low, high = (float(found.tags[tag]) for tag in ("auc", "auc.low", "auc.high"))
    return Interval(value=value, low=low, high=high)


def _serving(settings: Settings, synthetic: bool) -> tuple[Tracker, str, ModelVersion | None]:
    """Where to ask, name of the registered model, and its champion, if there is one."""
    tracker, name = Tracker.of(settings), settings.model_name(synthetic)
    number = tracker.registry.alias(name, settings.registry.champion)
    return tracker, name, tracker.registry.version(name, number) if number else None
