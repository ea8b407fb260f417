"""State of a fine-tuning, and how it is written to a checkpoint and read from it."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from pneumo.evaluation.robustness.selection import Judge
from pneumo.training.process import checkpoint

NOISE = 0.005  # of a score: an epoch that is worse by less counts as equal, and the later average has seen more images


@dataclass
class TrainingState:
    """What changes from epoch to epoch: `score` is the best so far, `best` the latest weights that are as good.

    `stale` counts the epochs since the score improved. The head on frozen features is epoch 0, so fine-tuning that
    makes it worse is not kept.
    """

    epoch: int = 0
    score: float = -math.inf
    stale: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: list[np.ndarray] = field(default_factory=list)

    @classmethod
    def restored(cls, file: Path, network: Any, model: Any, judge: Judge) -> Self:
        """State of a checkpoint; without one, that of the network as it is.

        Args:
            network: what is judged and kept.
            model: what is trained: the network behind augmentation, with optimizer; both are set to the checkpoint.
        """
        stored = checkpoint.load(file)
        if stored is None:
            return cls(score=judge.epoch(network)["score"], best=checkpoint.values(network.variables))
        arrays, state = stored
        checkpoint.assign(model.weights, arrays["model"])
        checkpoint.assign(model.optimizer.variables, arrays["optimizer"])
        return cls(**state, best=arrays["best"])

    def save(self, file: Path, model: Any) -> None:
        """Write all that the training needs to continue as if it had never stopped."""
        arrays = {"model": checkpoint.values(model.weights), "best": self.best}
        arrays["optimizer"] = checkpoint.values(model.optimizer.variables)
        plain = {"epoch": self.epoch, "score": self.score, "stale": self.stale, "history": self.history}
        checkpoint.save(file, arrays, plain)

    def add(self, row: dict[str, float], network: Any) -> None:
        """Add an epoch's figures, and keep the network's weights if they are not worse than the best."""
        self.history.append(row)
        self.epoch, self.stale = self.epoch + 1, self.stale + 1
        if row["score"] > self.score - NOISE:
            self.best = checkpoint.values(network.variables)
        if row["score"] > self.score:
            self.score, self.stale = row["score"], 0
