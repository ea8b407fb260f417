"""The data set that new data is compared with: the one that the current champion was trained on."""

from pathlib import Path

from pneumo.data.files import write_whole
from pneumo.registry import records
from pneumo.settings import Settings
from pneumo.tracking import Tracker


def champion_manifest(settings: Settings, synthetic: bool, home: Path) -> Path | None:
    """Manifest of the champion's data set, as it was kept with its run; fetched once.

    None when there is no champion yet, or it was registered by other hands.

    Raises:
        TrackingError: MLflow does not answer, or has lost what was kept.
    """
    tracker = Tracker(settings.tracking_uri, settings.tracking.experiment)
    name = settings.model_name(synthetic)
    number = tracker.alias(name, settings.registry.champion)
    found = tracker.version(name, number) if number else None
    if found is None:
        return None
    path = home / "cache" / "reference" / f"{found.tags.get(records.DIGEST, '')[:16]}.parquet"
    if not path.is_file():
        with records.kept(tracker, found) as folder:
            if folder is None:
                return None
            write_whole(path, (folder / records.MANIFEST).read_bytes())
    return path
