"""Severity of the gates: whether one that does not hold refuses the challenger or only warns, and the remedy."""

from typing import NamedTuple

from pneumo.errors import SettingsError
from pneumo.records.decision import PolicyRow
from pneumo.registry.promotion import gates
from pneumo.registry.promotion.gates import Severity
from pneumo.settings.promotion import Promotion

QUERY, FAIRNESS = "registered version in a fresh process", "test images that the champion was trained on"
PERSON, BARRED = "approval by a person", "bar after a rollback"
SHADOW = "shadow answers"
ALWAYS = (QUERY, PERSON, BARRED)  # a version that cannot serve, or a person's no, is never just a warning


class Rule(NamedTuple):
    """Severity and remedy of a gate."""

    severity: Severity
    remedy: str


# Gates without a limit in mlflow.yaml; the others are in gates.GATES.
RULES = {
    QUERY: Rule("refuse", "read the message; run again with the packages of requirements.lock."),
    FAIRNESS: Rule("refuse", "test on images of patients that the champion was not trained on."),
    gates.COMPARISON: Rule(
        "refuse", "keep the champion, or train on more images; more test images show smaller differences."
    ),
    SHADOW: Rule("warn", "look at `pneumo answers`: readers' labels are rarely a random sample."),
    PERSON: Rule("refuse", "settle the reason that was given, and run again."),
    BARRED: Rule("refuse", "lift it."),
}


def with_severity(row: PolicyRow, policy: Promotion) -> PolicyRow:
    """A gate's row with its severity and, if it does not hold, its remedy."""
    rule = _known().get(row.name, Rule(row.severity, row.remedy))
    remedy = "" if row.passed else row.remedy or rule.remedy
    return row.model_copy(update={"severity": policy.severity.get(row.name, rule.severity), "remedy": remedy})


def require_known(policy: Promotion) -> None:
    """Check that each severity in mlflow.yaml belongs to a gate, and that this gate may have it.

    Raises:
        SettingsError: no gate has that name, or it always refuses.
    """
    known = _known()
    if unknown := set(policy.severity) - set(known):
        raise SettingsError(
            f"mlflow.yaml, key promotion.severity: no gate is called {', '.join(sorted(unknown))}; "
            f"there are {'; '.join(sorted(known))}."
        )
    if softened := [name for name in ALWAYS if policy.severity.get(name) == "warn"]:
        raise SettingsError(
            f"mlflow.yaml, key promotion.severity: {softened[0]} always refuses, got warn: take the line out."
        )


def _known() -> dict[str, Rule]:
    return {gate.name: Rule(gate.severity, gate.remedy) for gate in gates.GATES} | RULES
