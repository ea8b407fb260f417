"""All that answers and feedback tell of a version, and which of its figures have fallen past a limit."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import AwareDatetime

from pneumo.monitoring.expected_auc import Estimate, estimated_auc
from pneumo.monitoring.levels import Change, Level, change
from pneumo.monitoring.noted import Noted
from pneumo.monitoring.realised import NAMES, Realised, each_image_once, realised
from pneumo.records.base import Record
from pneumo.settings.unattended import Watch

if TYPE_CHECKING:
    import pandas as pd

RISE = "out-of-distribution share"
ALERTS = 10  # that are kept: an MLflow tag holds 8,000 characters


class VersionFigures(Record):
    """A version: its answers now and at first, the expected AUC, and realised figures of the last days and of all."""

    model: str
    version: str
    days: int
    change: Change
    estimate: Estimate
    realised: Realised
    realised_ever: Realised


class Alert(Record):
    """What people were told of answers, and when (UTC)."""

    when: AwareDatetime
    text: str


class Told(Noted):
    """What people were told of a champion's answers, by name of the figure; `alerts`: the newest ones."""

    champion: str = ""
    names: tuple[str, ...] = ()
    alerts: tuple[Alert, ...] = ()


def by_version(
    answers: "pd.DataFrame",
    labels: "pd.Series[str]",
    days: int,
    now: datetime,
    limits: Watch,
    validation: Level | None = None,
) -> list[VersionFigures]:
    """Figures of every version that answered.

    Args:
        answers: all there are, as `pneumo.serving.answer_log.read` gives them.
        labels: what readers agree on, by image.
        days: the last days that are judged.
        now: UTC.
        limits: those of `mlflow.yaml`.
        validation: what the version answers on its validation images, if there is one version and that is known.
    """
    groups = answers.groupby(["model", "version"], sort=True)
    return [
        _figures(str(model), str(version), rows, labels, days, now, limits, validation)
        for (model, version), rows in groups
    ]


def falls(found: VersionFigures, limits: Watch) -> dict[str, str]:
    """Sentences on figures of the last days that are past a limit, by name."""
    wanted = {
        "auc": limits.minimum_realised_auc,
        "sensitivity": limits.minimum_realised_sensitivity,
        "specificity": limits.minimum_realised_specificity,
    }
    on = f"on {found.realised.normal} NORMAL and {found.realised.pneumonia} PNEUMONIA images of {found.days} days"
    words = {}
    for name, limit in wanted.items():
        figure = getattr(found.realised, name)
        if figure is not None and limit is not None and figure.value < limit:
            words[name] = f"realised {NAMES[name]} of version {found.version} is {figure:.3f}, below {limit:g}, {on}"
    recent, usual = found.change.recent, found.change.usual_out_of_distribution
    if recent and recent.out_of_distribution - usual > limits.out_of_distribution_rise:
        words[RISE] = (
            f"{recent.out_of_distribution:.0%} of the images that version {found.version} answered in {found.days} days"
            f" are out-of-distribution, {usual:.0%} before"
        )
    return words


def numbers_of(figures: VersionFigures) -> dict[str, float]:
    """What is known, by name: of the last days, and `usual_...` of what they are compared with."""
    real = figures.realised
    numbers = {"feedback": float(real.normal + real.pneumonia)}
    for prefix, one in (("", figures.change.recent), ("usual_", figures.change.usual)):
        numbers |= {f"{prefix}{name}": float(value) for name, value in one.model_dump().items()} if one else {}
    for name in NAMES:
        if (figure := getattr(real, name)) is not None:
            numbers[f"realised_{name}"] = figure.value
    return numbers | ({"expected_auc": figures.estimate.auc.value} if figures.estimate.auc else {})


def news(words: dict[str, str], champion: str, before: Told, now: datetime) -> tuple[list[str], Told]:
    """The sentences that nobody was told of this champion yet, and what people know after them."""
    known = before.names if before.champion == champion else ()
    new = {name: text for name, text in words.items() if name not in known}
    alerts = (*before.alerts, *([Alert(when=now, text="; ".join(new.values()))] if new else []))
    return list(new.values()), Told(champion=champion, names=(*known, *new), alerts=alerts[-ALERTS:])


def _figures(
    model: str,
    version: str,
    rows: "pd.DataFrame",
    labels: "pd.Series[str]",
    days: int,
    now: datetime,
    limits: Watch,
    validation: Level | None,
) -> VersionFigures:
    changed = change(rows, days, now, validation)
    recent = each_image_once(rows[rows["time"] > now - timedelta(days=days)])
    return VersionFigures(
        model=model,
        version=version,
        days=days,
        change=changed,
        estimate=estimated_auc(recent, changed.usual_out_of_distribution, limits.out_of_distribution_rise),
        realised=realised(recent, labels, limits.minimum_feedback),
        realised_ever=realised(each_image_once(rows), labels, limits.minimum_feedback),
    )
