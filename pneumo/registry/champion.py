"""Which version is champion now, and on what it was trained."""

from datetime import UTC, datetime
from pathlib import Path

from pneumo.data.files import write_whole
from pneumo.errors import PromotionError
from pneumo.records.base import Interval, Record
from pneumo.records.decision import DecisionCount
from pneumo.registry import dossier, history, test_set_use
from pneumo.registry.promotion import version_evidence
from pneumo.settings import Settings
from pneumo.tracking import ModelVersion, Tracker


class ChampionInfo(Record):
    """The version with the champion's alias.

    `auc` is that on its test images, with a 95 % interval; None if other software registered it. `since` is when the
    alias moved to it; None if the alias was set by hand. `dossier_url` is None where its run has none. `look` is the
    decision that made it champion. `decisions` and `promotions` count those on the same test images up to now.
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
    dossier_url: str | None = None
    look: DecisionCount | None = None
    decisions: int = 0
    promotions: int = 0


class Refused(Record):
    """The version that was refused last, why, and what to do about it; `when` is UTC."""

    registered_model: str
    version: str
    name: str
    when: datetime
    reason: str
    remedy: str
    evidence: str


def champion(settings: Settings, synthetic: bool = False) -> ChampionInfo | None:
    """The champion of real images, or of drawn ones; None if there is none.

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
        dossier_url=dossier.page(tracker, found.run_id),
        look=look,
        decisions=len(made),
        promotions=sum(row.action == "promotion" and row.took_effect for row in made),
    )


def champion_manifest(settings: Settings, synthetic: bool, home: Path) -> Path | None:
    """Manifest of the champion's data set, from its run; fetched once for each run.

    Not for each digest of a data set: that does not count all columns, and a newer pneumo tells more of the images.
    None if there is no champion yet, or other software registered it.

    Raises:
        TrackingError: MLflow does not answer, or the manifest is gone.
    """
    tracker, _, found = _serving(settings, synthetic)
    if found is None:
        return None
    path = home / "cache" / "reference" / f"{found.run_id[:16]}.parquet"
    if not path.is_file():
        with version_evidence.evidence_of(tracker, found) as folder:
            if folder is None:
                return None
            write_whole(path, (folder / version_evidence.MANIFEST).read_bytes())
    return path


def refused(settings: Settings, synthetic: bool = False) -> Refused | None:
    """The version that was refused last; None if there is none.

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
    """The version at an address, models:/name/3 or models:/name@alias; by default the champion.

    Raises:
        PromotionError: there is no champion.
        TrackingError: there is no such version, or MLflow does not answer.
    """
    if model:
        return tracker.registry.resolve(model)
    name = settings.model_name(synthetic)
    if tracker.registry.alias(name, settings.registry.champion) is None:
        drawn = "" if synthetic or not has_drawn(tracker, settings) else "give --phantom for that of the drawn images, "
        raise PromotionError(
            f"Expected a champion of {name}, but there is none yet: promote one with `pneumo train`, {drawn}"
            "or name a version, such as models:/name/1."
        )
    return tracker.registry.resolve(f"models:/{name}@{settings.registry.champion}")


def has_drawn(tracker: Tracker, settings: Settings) -> bool:
    """Whether there is a champion of the drawn images, which the first `make train` makes.

    Raises:
        TrackingError: MLflow does not answer.
    """
    return tracker.registry.alias(settings.registry.phantom_model, settings.registry.champion) is not None


def _auc(found: ModelVersion) -> Interval | None:
    if "auc" not in found.tags:
        return None
    value, low, high = (float(found.tags[tag]) for tag in ("auc", "auc.low", "auc.high"))
    return Interval(value=value, low=low, high=high)


def _serving(settings: Settings, synthetic: bool) -> tuple[Tracker, str, ModelVersion | None]:
    """The tracker, the name of the registered model, and its champion, or None."""
    tracker, name = Tracker.of(settings), settings.model_name(synthetic)
    number = tracker.registry.alias(name, settings.registry.champion)
    return tracker, name, tracker.registry.version(name, number) if number else None
