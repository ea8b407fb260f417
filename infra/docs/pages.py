"""A hook of MkDocs: the pages that are made from the code, so that they cannot grow old."""

import importlib
import json
import logging
import re
import sys
import typing
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

PROJECT = Path(__file__).parents[2]
sys.path.insert(0, str(PROJECT))
RECORDS = (*(f"pneumo.records.{name}" for name in ("data", "model", "decision")), "pneumo.errors")
LINE = re.compile(r"^(?P<indent> *)(?P<key>\w+):(?:[^#]*?# (?P<comment>.*))?")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to those of docs/."""
    for place, page in PAGES.items():
        files.append(File.generated(config, place, content=page()))
    return files


def settings() -> str:
    """Every key of mlflow.yaml: type, default, bounds, meaning."""
    from pneumo.settings import Settings

    lines = [
        "# Settings",
        "",
        "Keys of `mlflow.yaml`. Each can be overridden from the environment: `promotion.minimum_auc` is",
        "`PNEUMO_PROMOTION__MINIMUM_AUC`. An unknown key or a value out of bounds is refused by name.",
        "",
        "| key | type | default | meaning |",
        "|---|---|---|---|",
        *_fields(Settings),
    ]
    return "\n".join(lines)


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        part = field.annotation
        if isinstance(part, type) and issubclass(part, BaseModel):
            yield from _fields(part, f"{prefix}{name}.")
            continue
        default = field.get_default(call_default_factory=True)
        meaning = field.description or _comments().get(f"{prefix}{name}", "")
        yield f"| `{prefix}{name}` | {_type(field)} | {_value(default)} | {_cell(meaning)} |"


@cache
def _comments() -> dict[str, str]:
    """What mlflow.yaml says beside each key; it has sections and keys, nothing deeper."""
    found, section = {}, ""
    for line in (PROJECT / "mlflow.yaml").read_text().splitlines():
        if parts := LINE.match(line):
            section = section if parts["indent"] else parts["key"]
            key = f"{section}.{parts['key']}" if parts["indent"] else section
            found[key] = parts["comment"] or ""
    return found


def flows() -> str:
    """Every deployment with its parameters, as its form has them."""
    known = yaml.safe_load((PROJECT / "flows" / "prefect.yaml").read_text())["deployments"]
    logging.disable(logging.WARNING)  # griffe misses the types, which Prefect hands over apart from the docstring
    try:
        lines = [line for item in known for line in _deployment(item)]
    finally:
        logging.disable(logging.NOTSET)
    return "\n".join(["# Flows and their parameters", "", *lines])


def _deployment(item: dict[str, Any]) -> Iterator[str]:
    from prefect.utilities.callables import parameter_schema

    module, _, name = item["entrypoint"].partition(":")
    flow = getattr(importlib.import_module(module.removesuffix(".py").replace("/", ".")), name)
    yield from (f"## {flow.name}/{item['name']}", "", item["description"], "")
    form = parameter_schema(flow.fn).model_dump()
    yield from ("| parameter | type | default | meaning |", "|---|---|---|---|")
    for key, field in form["properties"].items():
        default = "required" if key in form["required"] else _value(field["default"])
        yield f"| `{key}` | {_words(field)} | {default} | {_cell(field['description'])} |"
    yield ""


def commands() -> str:
    """Every command with its arguments and options."""
    from typer.main import get_command

    from pneumo import cli

    lines = ["# Commands", "", *(cli.__doc__ or "").splitlines()[2:], ""]
    group: Any = get_command(cli.app)
    for name, command in sorted(group.commands.items()):
        lines += [f"## pneumo {name}", "", (command.help or "").strip(), ""]
        if command.params:
            lines += ["| | meaning | default |", "|---|---|---|", *map(_parameter, command.params), ""]
    return "\n".join(lines)


def _parameter(parameter: Any) -> str:
    shown = f"`{' '.join(parameter.opts)}`" if parameter.param_type_name == "option" else parameter.name.upper()
    plain = parameter.default is None or callable(parameter.default) or parameter.default in (False, "", ())
    return f"| {shown} | {getattr(parameter, 'help', '') or ''} | {'' if plain else f'`{parameter.default}`'} |"


def python() -> str:
    """Records and errors, from their docstrings."""
    head = "# Python\n\nEvery stage is a plain function; [the architecture](../architecture.md) lists them."
    return "\n\n".join(
        [head, "They pass these records on, and raise these errors.", *(f"::: {name}" for name in RECORDS)]
    )


def benchmarks() -> str:
    """The measurements that are kept in bench/results."""
    kept = sorted((PROJECT / "bench" / "results").glob("*.json"))
    head = "# Benchmarks\n\n`make bench ARGS=name` measures again and overwrites `bench/results/name.json`."
    return "\n\n".join([head, *map(_measured, kept)])


def _measured(file: Path) -> str:
    result = json.loads(file.read_text())
    machine = result["machine"]
    when = datetime.fromisoformat(result["measured"])
    words = f"{when:%d %B %Y}, {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB"
    return "\n".join([f"## {file.stem}", "", f"{words}.", "", *_table(result["rows"])])


def _table(rows: list[dict[str, Any]]) -> list[str]:
    """Lines of a table; a column for each key that any row has."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[_cell(_number(row.get(column, ""))) for column in columns] for row in rows]
    return [f"| {' | '.join(line)} |" for line in (columns, ["---"] * len(columns), *cells)]


def _type(field: FieldInfo) -> str:
    """A field's type in words of JSON, with its choices and bounds."""
    return _words(TypeAdapter(typing.Annotated[field.annotation, field]).json_schema())


def _words(schema: dict[str, Any]) -> str:
    return _cell(" or ".join(_kinds(schema)))


def _kinds(schema: dict[str, Any]) -> Iterator[str]:
    for option in schema.get("anyOf", [schema]):
        if option.get("type") == "null":
            continue
        choices = option.get("enum")
        kind = " or ".join(map(str, choices)) if choices else str(option.get("type", "any"))
        yield f"{kind}{_bounds(option)}"


def _bounds(schema: dict[str, Any]) -> str:
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    found = [f"{word} {schema[key]:g}" for key, word in words.items() if key in schema]
    return f", {' '.join(found)}" if found else ""


def _value(value: object) -> str:
    return "" if value in (None, "", (), {}) else f"`{_cell(str(value))}`"


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


PAGES: dict[str, Callable[[], str]] = {
    "reference/commands.md": commands,
    "reference/flows.md": flows,
    "reference/settings.md": settings,
    "reference/python.md": python,
    "reference/benchmarks.md": benchmarks,
}
