"""Records of decisions: gates, how often the test images were used, and the outcome."""

from typing import Literal

from pneumo.records.base import Record


class PolicyRow(Record):
    """One promotion gate: name, limit, what was measured, and whether it holds.

    If it does not hold, `severity` says whether that stops the promotion, and `remedy` what to do.
    """

    name: str
    limit: str
    value: str
    passed: bool
    severity: Literal["refuse", "warn"] = "refuse"
    remedy: str = ""

    @property
    def outcome(self) -> Literal["passed", "refused", "warning"]:
        """The outcome in one word."""
        failed: Literal["refused", "warning"] = "warning" if self.severity == "warn" else "refused"
        return "passed" if self.passed else failed

    @property
    def finding(self) -> str:
        """What was measured and what is required, as a clause."""
        return f"{self.name} is {self.value} where {self.limit} is required"


class DecisionCount(Record):
    """Number of a decision among all that were made on the same test images.

    `test_set` is the digest of the `images` test images, `sketch` hashes of a few of them, by which another set that
    shares them is recognised. `number` counts decisions on them from 1; `promotions` is how many earlier ones promoted.
    `comparison` counts comparisons with a champion from 1, at most `most`, and `significance` is the level that this
    one spent; both are 0 where nothing was compared.
    """

    test_set: str
    sketch: tuple[str, ...]
    images: int
    number: int
    promotions: int
    comparison: int = 0
    most: int = 0
    significance: float = 0.0

    @property
    def spent(self) -> bool:
        """Whether these test images have been used for too many comparisons."""
        return self.comparison > self.most

    def __str__(self) -> str:
        """As a sentence."""
        others = f"{self.promotions} promotion{'' if self.promotions == 1 else 's'} before"
        compared = f", comparison {self.comparison} of at most {self.most}" if self.comparison else ""
        return f"Decision {self.number} on the {self.images} test images {self.test_set[:12]} ({others}{compared})."


class Decision(Record):
    """Why a version became champion or not; `rows` are the gates, `look` counts decisions on these test images."""

    promoted: bool
    reason: str
    registered_model: str
    version: str
    name: str
    run_id: str
    champion_before: str | None
    rows: tuple[PolicyRow, ...]
    look: DecisionCount | None = None

    @property
    def remedies(self) -> tuple[str, ...]:
        """What to do about each gate that does not hold."""
        return tuple(f"{row.name}: {row.remedy}" for row in self.rows if not row.passed and row.remedy)
