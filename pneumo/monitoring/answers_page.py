"""A page on answers over time: how many, of what kind, how right; with alerts and changes of the champion."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pneumo.monitoring.expected_auc import point_estimate
from pneumo.monitoring.realised import each_image_once
from pneumo.monitoring.shadow_comparison import ShadowComparison, difference
from pneumo.monitoring.version_figures import Alert
from pneumo.records.base import LABELS

if TYPE_CHECKING:
    import pandas as pd

TEMPLATES, NAME = Path(__file__).parent / "templates", "answers_page.html.j2"
WIDTH, HEIGHT = 760, 130  # of a chart
DAYS = 180  # shown
FEWEST = 10  # images of each class with feedback in a week, and of all for the expected AUC
AUCS, SHARES = ("realised", "expected"), ("sensitivity", "specificity")
BLUE, RED = "#1d4e89", "#c65b3c"
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """Points of a chart: x from the first day to now, y up to its top, both 0 to 1."""

    name: str
    colour: str
    points: Points


@dataclass(frozen=True)
class Chart:
    """Lines, or why there are none; `top` is the value of the upper edge."""

    title: str
    lines: list[Line]
    without: str = ""
    top: float = 1.0
    form: str = "{:.0%}"

    def shown(self, height: float) -> str:
        """The value at a height, 0 to 1, as text."""
        return self.form.format(height * self.top)


def page(
    model: str,
    answers: "pd.DataFrame",
    labels: "pd.Series[str]",
    moves: Sequence[tuple[datetime, str]],
    now: datetime,
    highest: float,
    shadows: Sequence[ShadowComparison] = (),
    alerts: Sequence[Alert] = (),
) -> str:
    """The page as HTML that asks nothing of other hosts.

    Args:
        model: name of the registered model.
        answers: its answers, of all versions.
        labels: what readers agree on, by image.
        moves: when which version became champion, UTC.
        now: UTC.
        highest: out-of-distribution share of a week, beyond which its expected AUC is withheld.
        shadows: what versions said that no client saw.
        alerts: what people were told of answers.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    start = now - timedelta(days=DAYS)
    read = answers[answers["label"].notna() & (answers["time"] > start)]
    begin = (
        read["time"].min().to_pydatetime().replace(hour=0, minute=0, second=0, microsecond=0) if len(read) else start
    )
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    shown = [{"x": _place(when, begin, now), "version": version} for when, version in moves if begin <= when <= now]
    told = [{"x": _place(one.when, begin, now), "alert": one} for one in alerts if begin <= one.when <= now]
    return environment.get_template(NAME).render(
        model=model, first=begin.date(), last=now.date(), images=len(read), moves=shown, width=WIDTH, height=HEIGHT,
        charts=[*_by_day(read, begin, now), *_by_week(read, labels, begin, now, highest)], alerts=told,
        dates=[(place, (begin + place * (now - begin)).date()) for place in (0, 0.25, 0.5, 0.75, 1)],
        shadows=[f"Version {row.version} {difference(row)}." for row in shadows],
    )  # fmt: skip


def _by_day(read: "pd.DataFrame", begin: datetime, now: datetime) -> list[Chart]:
    days = read.groupby(read["time"].dt.floor("D"))
    counts, most = days.size(), max(1, int(days.size().max() if len(read) else 1))
    shares = {
        "Share called PNEUMONIA": (read["label"] == LABELS[1]).groupby(read["time"].dt.floor("D")).mean(),
        "Out-of-distribution share": days["out_of_distribution"].mean(),
    }
    none = "Nothing was answered."
    charts = [_chart("Answers by day", {"answers": counts / most}, begin, now, none, top=float(most), form="{:.0f}")]
    return charts + [_chart(title, {"share": values}, begin, now, none) for title, values in shares.items()]


def _by_week(
    read: "pd.DataFrame", labels: "pd.Series[str]", begin: datetime, now: datetime, highest: float
) -> list[Chart]:
    import pandas as pd

    once = each_image_once(read).assign(truth=lambda rows: rows["image"].map(labels))
    weeks = [rows for _, rows in once.groupby([once["time"].dt.floor("7D"), "version"])]
    found = pd.DataFrame(
        [_figures(rows, highest) for rows in weeks], [rows["time"].mean() for rows in weeks], [*AUCS, *SHARES], float
    )
    auc, shares = ({name: found[name] for name in names} for names in (AUCS, SHARES))
    none = f"No week has {FEWEST} images{{}}."
    return [
        _chart("ROC AUC by week and version", auc, begin, now, none.format(""), form="{:.2f}"),
        _chart("Realised shares by week and version", shares, begin, now, none.format(" of each class with feedback")),
    ]


def _figures(rows: "pd.DataFrame", highest: float) -> dict[str, float]:
    """What a version's answers of a week tell, of AUCs and shares; without those for which there are too few images."""
    from pneumo.evaluation.statistics.metrics import auc, operating_shares

    valid = len(rows) >= FEWEST and rows["out_of_distribution"].mean() <= highest
    found = {"expected": point_estimate(rows["probability"].to_numpy(float))} if valid else {}
    known = rows.dropna(subset="truth")
    ill, called = ((known[name] == LABELS[1]).to_numpy() for name in ("truth", "label"))
    if min(ill.sum(), (~ill).sum()) < FEWEST:
        return found
    pairs = operating_shares(ill, called)
    shares = {name: float(hits[among].mean()) for name, (hits, among) in pairs.items() if name in SHARES}
    return {**found, **shares, "realised": auc(ill, known["probability"].to_numpy(float))}


def _chart(
    title: str,
    series: "dict[str, pd.Series[float]]",
    begin: datetime,
    now: datetime,
    without: str,
    top: float = 1.0,
    form: str = "{:.0%}",
) -> Chart:
    lines = []
    for (name, found), colour in zip(series.items(), (BLUE, RED), strict=False):
        known = found.dropna().sort_index().items()
        points = [(_place(when, begin, now), float(value)) for when, value in known]
        if points:
            lines.append(Line(name, colour, points))
    return Chart(title, lines, without, top, form)


def _place(when: Any, begin: datetime, now: datetime) -> float:
    """Where a moment lies between two others, 0 to 1."""
    return float((when - begin) / max(now - begin, timedelta(seconds=1)))
