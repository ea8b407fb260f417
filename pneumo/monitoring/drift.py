"""Data drift: how different new images are from those of the champion's data set, by their manifests alone."""

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo.data.quality.columns import drift_figures
from pneumo.data.quality.two_sample_test import audit_manifests, can_be_audited
from pneumo.monitoring.noted import Noted
from pneumo.records.base import Record
from pneumo.records.data import ShiftAudit
from pneumo.settings.unattended import Watch

EMBEDDING = "embedding_drift"


class Drift(Record):
    """What was found in a source; without `figures` and `audit` if too few images are new to judge.

    Figures that an older champion's manifest does not tell are left out.

    `champion` is a version of the registered model, `known` the number of images of its data set.
    """

    champion: str
    images: int
    known: int
    new: int
    figures: dict[str, float]
    audit: ShiftAudit | None = None

    @property
    def share(self) -> float:
        """New images as a share of the champion's data set."""
        return self.new / self.known


class LastRequest(Noted):
    """The last request for a retraining: the champion and the new images then, and whether it was for drift."""

    champion: str = ""
    new: int = 0
    drift: bool = False


def measure_drift(manifest: pd.DataFrame, champion: str, reference: pd.DataFrame, fewest: int) -> Drift:
    """Compare a source with a champion's data set; images are compared by content.

    Args:
        manifest: that of the source now.
        champion: its version number.
        reference: manifest of the champion's data set.
        fewest: with fewer new images drift is not judged.
    """
    readable = manifest[manifest["error"].isna()].drop_duplicates("sha256")
    new = readable[~readable["sha256"].isin(reference["sha256"])]
    trained = reference[reference["split"] == "train"]
    found = Drift(champion=champion, images=len(readable), known=len(reference), new=len(new), figures={})
    if len(new) < fewest:
        return found
    figures = drift_figures(new, trained)
    if "phash" in trained:
        figures[EMBEDDING] = embedding_drift(new, trained)
    audit = audit_manifests("new", trained, new) if can_be_audited(trained) else None
    return found.model_copy(update={"figures": figures, "audit": audit})


def embedding_drift(now: pd.DataFrame, then: pd.DataFrame) -> float:
    """Squared distance of the mean perceptual embeddings, in units of the spread of `then`; 0 means no drift.

    The embedding is the 256-bit perceptual hash, the signs of a picture's low frequencies. With p and q the mean bits
    of the two sets, it is sum((p - q)^2) / sum(q (1 - q)): half the energy distance (Szekely and Rizzo 2013) of Hamming
    distances over half the mean distance within `then`. What chance adds to the numerator, p(1 - p)/(n - 1) +
    q(1 - q)/(m - 1) for each bit, is subtracted, so that few images do not look like drift.
    """
    p, q = _bits(now), _bits(then)
    spread = q.mean(axis=0) * (1 - q.mean(axis=0))
    chance = p.var(axis=0) / (len(p) - 1) + q.var(axis=0) / (len(q) - 1)
    distance = (p.mean(axis=0) - q.mean(axis=0)) ** 2 - chance
    return float(max(0.0, distance.sum()) / max(spread.sum(), 1e-9))


def reasons(found: Drift, before: LastRequest, settings: Watch) -> tuple[list[str], LastRequest]:
    """Sentences on why to train again, none without a reason, and the request that they make.

    The same images are a reason once: the next one needs as many new images again, or another champion.
    """
    known = before if before.champion == found.champion else LastRequest(champion=found.champion)
    enough = min(settings.new_images, math.ceil(settings.new_share * found.known))
    grown = found.new - known.new >= enough
    worst = max(found.figures.items(), key=lambda item: item[1], default=("", 0.0))
    drifted = worst[1] > settings.drift and (grown or not known.drift)
    words = [f"{found.new} images are new to champion {found.champion} ({found.share:.0%} of its data set)"] * grown
    words += [f"{worst[0].replace('_', ' ')} is {worst[1]:.2f}, above {settings.drift:g}"] * drifted
    if not words:
        return [], known
    return words, LastRequest(champion=found.champion, new=found.new, drift=known.drift or drifted)


def is_news(before: LastRequest, after: LastRequest) -> bool:
    """Whether this is the first request for drift since this champion serves, of which people are notified."""
    return after.drift and not (before.drift and before.champion == after.champion)


def plot(series: dict[str, list[tuple[float, float]]], limit: float) -> Any:
    """A matplotlib figure of drift over time, from (seconds since 1970, value) by name, with its limit."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    for name, points in series.items():
        times = np.array([seconds for seconds, _ in points]).astype("datetime64[s]")
        axes.plot(times, [value for _, value in points], marker="o", label=name.replace("_", " "))
    axes.axhline(limit, linestyle="--", color="gray", label="limit")
    axes.set(ylabel="drift against the champion's training images", ylim=(0, None))
    axes.legend()
    figure.autofmt_xdate()
    return figure


def _bits(manifest: pd.DataFrame) -> NDArray[np.float64]:
    packed = np.frombuffer(bytes.fromhex("".join(manifest["phash"])), dtype=np.uint8)
    return np.unpackbits(packed.reshape(len(manifest), -1), axis=1).astype(np.float64)
