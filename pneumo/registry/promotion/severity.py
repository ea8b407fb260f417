"""Whether a gate that does not hold refuses the challenger or only warns, and what to do about it."""

from typing import NamedTuple

from pneumo.errors import SettingsError
from pneumo.records.decision import PolicyRow
from pneumo.registry.promotion import gates
from pneumo.registry.promotion.gates import Severity
from pneumo.sections import Promotion

QUERY, FAIRNESS = "registered version in a fresh process", "test images that the champion was trained on"
PERSON, BARRED = "approval by a person", "bar after a rollback"
ALWAYS = (QUERY, PERSON, BARRED)  # a version that cannot serve and a person's no are never mere warnings


class Rule(NamedTuple):
    """Of one gate."""

    severity: Severity
    remedy: str


# Of the gates that are no figure of mlflow.yaml; those are in gates.GATES.
RULES = {
    QUERY: Rule("refuse", "read what it said; run again with the packages of requirements.lock."),
    FAIRNESS: Rule("refuse", "test on images of patients that the champion was not trained on."),
    gates.COMPARISON: Rule(
        "refuse", "keep the champion, or train on more images; more test images show smaller differences."
    ),
    PERSON: Rule("refuse", "see to what was said, and run again."),
    BARRED: Rule("refuse", "lift it."),
}


def with_severity(row: PolicyRow, policy: Promotion) -> PolicyRow:
    """A gate's row with its severity and, where it does not hold, what to do."""
    rule = _known().get(row.name, Rule(row.severity, row.remedy))
    remedy = "" if row.passed else row.remedy or rule.remedy
    return row.model_copy(update={"severity": policy.severity.get(row.name, rule.severity), "remedy": remedy})


def require_known(policy: Promotion) -> None:
    """Check that each severity in mlflow.yaml is of a gate that there is, and one that it may have.

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
