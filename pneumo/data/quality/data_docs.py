"""Data Docs: all that Great Expectations found, as one page that needs neither other files nor a network.

Great Expectations' own site loads scripts and styles from six hosts, does not escape file names, and consists of many
files, of which MLflow opens only one.
"""

from pathlib import Path

from pneumo.data.quality.great_expectations_suites import Outcome

PAGE, TEMPLATE = "index.html", "data/templates/data_docs.html.j2"
LISTED = 1000  # offending images shown for one expectation; the quarantine list has all that were taken out


def page(suites: dict[str, list[Outcome]], figures: dict[str, str], version: str) -> str:
    """The outcomes by suite, as HTML.

    Args:
        suites: outcomes by the suite's name.
        figures: figures of the whole set by column, as texts to show.
        version: of Great Expectations.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = Path(__file__).parents[2] / Path(TEMPLATE).parent
    environment = Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined)
    content = {name: [(outcome, outcome.row(figures)) for outcome in outcomes] for name, outcomes in suites.items()}
    return environment.get_template(Path(TEMPLATE).name).render(suites=content, listed=LISTED, version=version)
