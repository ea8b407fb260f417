"""Check suites of expectations with Great Expectations; this is the only door to it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pneumo.data.quality.image_expectations import Expectation
from pneumo.records.data import GateRow

WHOLE_SET = "data set"  # stands for a path where the whole set is checked
SHOWN = 20  # offending images that a row names


@dataclass(frozen=True)
class Outcome:
    """Outcome of an expectation: how many values were checked, and path and value of each offending image."""

    expectation: Expectation
    passed: bool
    checked: int
    offenders: list[tuple[str, str]]

    def row(self, figures: Mapping[str, str]) -> GateRow:
        """The outcome as a row of the report; `figures` are those of the whole set by column, as texts to show."""
        expectation = self.expectation
        if expectation.column in figures:
            observed = figures[expectation.column]
        elif self.offenders:
            observed = f"violated by {len(self.offenders):,} of {self.checked:,} images"
        else:
            observed = f"met by all {self.checked:,} images"
        return GateRow(
            name=expectation.name,
            severity=expectation.severity,
            passed=self.passed,
            expected=expectation.expected,
            observed=observed,
            meaning=expectation.meaning,
            files=tuple(dict.fromkeys(_named_with(path, value) for path, value in self.offenders))[:SHOWN],
        )


class Session:
    """A throw-away Great Expectations context."""

    def __init__(self) -> None:
        os.environ["GX_ANALYTICS_ENABLED"] = "false"  # it reads this when it is imported
        import great_expectations
        from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults

        self._gx = great_expectations
        self.version = str(great_expectations.__version__)
        config = DataContextConfig(store_backend_defaults=InMemoryStoreBackendDefaults())  # others leave files behind
        context = great_expectations.get_context(mode="ephemeral", project_config=config)
        context.variables.progress_bars = {"globally": False, "metric_calculations": False}
        self._source = context.data_sources.add_pandas("manifest")

    def run(self, name: str, table: pd.DataFrame, expectations: list[Expectation]) -> list[Outcome]:
        """Check one table with one suite; the outcomes are in the order of the expectations."""
        suite = self._gx.ExpectationSuite(name, expectations=[self._build(row) for row in expectations])
        definition = self._source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
        rows = table.set_index("path").rename_axis(None)  # with a name, each offender would be a dict
        outcome = definition.get_batch({"dataframe": rows}).validate(suite, result_format="COMPLETE")
        found = {result.expectation_config.meta["name"]: result for result in outcome.results}
        return [_outcome(row, found[row.name], rows[row.column]) for row in expectations]

    def _build(self, expectation: Expectation) -> Any:
        return getattr(self._gx.expectations, expectation.test.kind)(
            column=expectation.column,
            severity="critical" if expectation.severity == "error" else "warning",
            meta={"name": expectation.name},
            notes=f"{expectation.name}: {expectation.expected}",
            **expectation.test.arguments,
        )


def _outcome(expectation: Expectation, found: Any, values: pd.Series) -> Outcome:
    paths = [path for path in found.result.get("unexpected_index_list") or () if path != WHOLE_SET]
    offenders = [(path, _short(value)) for path, value in zip(paths, values.loc[paths], strict=True)]
    return Outcome(expectation, bool(found.success), int(found.result.get("element_count", 0)), offenders)


def _named_with(path: str, value: str) -> str:
    return value if path in value else f"{path} ({value})"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
