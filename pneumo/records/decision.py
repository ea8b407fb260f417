"""Records of decisions: gates, how often the test images were used, and what came of it."""

from typing import Literal

from pneumo.records.base import Record


class PolicyRow(Record):
    """One promotion gate: name, limit, what was measured, and whether it holds.

    Where it does not, `severity` says whether that stops the promotion, and `remedy` what to do.
    """

    name: str
    limit: str
    value: str
    passed: bool
    severity: Literal["refuse", "warn"] = "refuse"
    remedy: str = ""

    @property
    def outcome(self) -> Literal["passed", "refused", "warning"]:
        """What came of it, in a word."""
        failed: Literal["refused", "warning"] = "warning" if self.severity == "warn" else "refused"
        return "passed" if self.passed else failed

    @property
    def finding(self) -> str:
        """What was measured against what was asked, as a clause."""
        return f"{self.name} is {self.value} where {self.limit} is asked"


class DecisionCount(Record):
    """A decision on a set of test images, among all decisions that were made on them.

    `test_set` is the digest of its `images` images, `sketch` a few of them by which a set that shares them is known,
    `number` this decision's place among all on them, from 1, `promotions` how many of the others led to a champion.
    `comparison` is this comparison's place among those with a champion, from 1, of at most `most`, and `significance`
    what it spent; they are 0 where nothing was spent.
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
        """Whether these test images have been compared on too often."""
        return self.comparison > self.most

    def __str__(self) -> str:
        """As a sentence."""
        others = f"{self.promotions} promotion{'' if self.promotions == 1 else 's'} before"
        compared = f", comparison {self.comparison} of at most {self.most}" if self.comparison else ""
        return f"Decision {self.number} on the {self.images} test images {self.test_set[:12]} ({others}{compared})."


class Decision(Record):
    """Why a version became champion or did not; `rows` are the gates, `look` counts the decisions on these images."""

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
