"""A registered model to which several machines promote candidates whose quality is made up."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pneumo.records.base import Interval
from pneumo.records.data import DatasetVersion
from pneumo.records.model import Evaluation
from pneumo.registry import history, rollback
from pneumo.registry.promotion import state_machine, version_evidence
from pneumo.settings import Settings
from pneumo.tracking import Tracker
from tests.registry.promotion.interleaved_runs import Run

QUALITY = {"worse": 0.05, "first": 0.1, "second": 0.2, "a": 0.3, "b": 0.4, "later": 0.5}

SETTINGS = Settings(tracking={"uri": "memory"})

SURE = Interval(value=0.9, low=0.9, high=0.9)

PROMOTED = "promoted"


@dataclass
class Table:
    """A registry with a registered model, and machines that promote to it."""

    name: str
    folder: Path
    models: Callable[[str], str] = "models:/{}".format

    def settings(self, machine: str) -> Settings:
        names = SETTINGS.registry.model_copy(update={"model": self.name})
        return SETTINGS.model_copy(update={"home": self.folder / machine, "registry": names})

    def promote(self, who: str, machine: str | None = None, word: bool | None = None) -> Any:
        """`word` is what a person says who is asked; nobody is where there is none."""
        settings, run = self.settings(machine or who), f"run-{machine or who}"
        policy = settings.promotion.model_copy(update={"approval": word is not None})
        settings = settings.model_copy(update={"promotion": policy})
        data = DatasetVersion(
            digest="d", source="s", synthetic=False, root=self.folder, manifest=self.folder, images=1, counts={}
        )
        return state_machine.promote([self.evaluation(who)], data, settings, settings.home, run, partial(say, word))

    def rollback(self, machine: str) -> Any:
        settings = self.settings(machine)
        return rollback.rollback(settings, settings.home)

    def evaluation(self, who: str) -> Evaluation:
        bundle = self.folder / "bundles" / who
        bundle.mkdir(parents=True, exist_ok=True)
        (bundle / "serving.json").write_text(json.dumps({"model_sha256": who}))
        return Evaluation(
            name=who, key=who, run_id=f"run-{who}", model_uri=self.models(who), bundle=bundle, predictions=bundle,
            minutes=0, threshold=0.5, temperature=1, offset=0, selection_score=1, validation_auc=0.9, test_auc=SURE,
            sensitivity=SURE, specificity=SURE, slices={},
            metrics={"test_calibration_error": 0.0, "latency_ms": 1.0, "model_mb": 1.0},
        )  # fmt: skip

    def end(self) -> dict[str, Any]:
        """How the registered model stands, without what differs from run to run."""
        tracker = Tracker("memory", "registry")
        standing, found = (
            history.registry_state(tracker, self.name, self.settings("end").registry),
            tracker.registry.versions(self.name),
        )
        rejected = [row for row in standing.rows if row.action == "rejection" and not row.withdrawn]
        return {
            "aliases": tracker.registry.aliases(self.name),
            "versions": {item.version: item.tags.get("candidate") for item in found},
            "undone": [item.version for item in found if item.tags.get(version_evidence.UNDONE)],
            "moves": [(row.champion, row.version) for row in standing.rows if row.took_effect],
            "rejected": [row.version for row in rejected],
            "promoted by their cards": [item.version for item in found if item.description == PROMOTED],
            "looks": sorted(row.look.comparison for row in standing.rows if row.look and row.action != "look"),
        }


def say(word: bool | None, *_: Any) -> state_machine.ApprovalAnswer:
    """A person's answer, for which a run waits; others go on meanwhile."""
    run = threading.current_thread()
    if isinstance(run, Run):
        run.calling("person", lambda: None)
    return state_machine.ApprovalAnswer(approved=bool(word), said="seen")


ACTS: dict[str, Callable[[Table], Any]] = {
    "a approved": lambda table: table.promote("a", "a approved", word=True),
    "a refused": lambda table: table.promote("a", "a refused", word=False),
    "a": lambda table: table.promote("a"),
    "b": lambda table: table.promote("b"),
    "worse": lambda table: table.promote("worse"),
    "rollback": lambda table: table.rollback("one"),
    "another rollback": lambda table: table.rollback("two"),
}
