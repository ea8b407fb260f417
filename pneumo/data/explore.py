"""The exploration report: one self-contained page on a dataset version."""

from pathlib import Path

from pneumo.stages import DatasetVersion, GateReport, code_version, stage_key, written_once

PAGE = "report.html"


def report(version: DatasetVersion, gate_report: GateReport, home: Path) -> Path:
    """Write the page (HTML, pictures inside, under 3 MB) and return its path."""
    from jinja2 import Environment, PackageLoader, select_autoescape

    key = stage_key("explore", digest=version.digest, gate=gate_report.key, code=code_version("data"))
    folder = home / "cache" / "explore" / key
    if not folder.is_dir():
        environment = Environment(loader=PackageLoader("pneumo.data"), autoescape=select_autoescape(("j2",)))
        page = environment.get_template("report.html.j2").render(version=version, gate=gate_report)
        with written_once(folder) as scratch:
            (scratch / PAGE).write_text(page, encoding="utf-8")
    return folder / PAGE
