"""Data Docs: everything that Great Expectations found, as one page that needs no other file and no network.

Its own site loads scripts and styles from six hosts, does not escape file names, and is many files, of which MLflow
opens only one.
"""

from pathlib import Path

from pneumo.data.quality.great_expectations_suites import Outcome

PAGE, TEMPLATE = "index.html", "data/templates/data_docs.html.j2"
LISTED = 1000  # offenders of one expectation; those that were taken out are all in the quarantine list


def page(suites: dict[str, list[Outcome]], figures: dict[str, str], version: str) -> str:
    """HTML of the outcomes by suite.

    Args:
        suites: outcomes by the suite's name.
        figures: numbers of the whole set, as they are shown, by column.
        version: of Great Expectations.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = Path(__file__).parents[2] / Path(TEMPLATE).parent
    environment = Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined)
    content = {name: [(outcome, outcome.row(figures)) for outcome in outcomes] for name, outcomes in suites.items()}
    return environment.get_template(Path(TEMPLATE).name).render(suites=content, listed=LISTED, version=version)
