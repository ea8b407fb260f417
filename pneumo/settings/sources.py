"""Where settings come from: mlflow.yaml and the environment; what would be read wrongly, or not at all, is refused."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pneumo.errors import SettingsError

PREFIX, NESTED = "PNEUMO_", "__"


def read_file(path: Path) -> dict[str, Any]:
    """Content of a settings file; empty where there is none.

    Raises:
        SettingsError: it cannot be read, is no YAML with sections, or has a key twice, of which YAML takes the last.
    """
    import yaml

    if not path.is_file():
        return {}
    try:
        root = yaml.compose(path.read_bytes(), Loader=yaml.SafeLoader)
        content = yaml.SafeLoader("").construct_document(root) if root else None
    except OSError as error:
        raise SettingsError(f"Expected a file to read in {path}, but {error.strerror}: correct its rights.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or "it is not in UTF-8"
        raise SettingsError(f"Expected YAML in {path}, but {reason}{place}: correct it.") from None
    if not isinstance(content, dict | None) or not all(isinstance(key, str) for key in content or ()):
        raise SettingsError(f"Expected sections in {path}, such as `promotion:`, found none: correct it.")
    if twice := _twice(root):
        raise SettingsError(f"Expected each key of {path} once, found {twice} again: put both parts together.")
    return content or {}


def require_known(environment: Mapping[str, str], sections: Mapping[str, Collection[str]]) -> None:
    """Refuse variables that name a section which does not exist, or a section and its key with a single underscore.

    Whoever sets them believes that they are in force. Other variables may be another program's: Kubernetes makes some
    for every service, such as PNEUMO_SERVE_PORT, with an address as their value.

    Args:
        environment: variables by name.
        sections: the keys of each section.

    Raises:
        SettingsError: there is one; the message names it.
    """
    right = {f"{section}_{key}": f"{section}{NESTED}{key}" for section, keys in sections.items() for key in keys}
    for name, value in environment.items():
        rest = name.lower().removeprefix(PREFIX.lower())
        if not name.upper().startswith(PREFIX) or "://" in value:
            continue
        if rest in right:
            raise SettingsError(f"Expected {PREFIX}{right[rest].upper()} in the environment, found {name}: rename it.")
        if NESTED in rest and rest.partition(NESTED)[0] not in sections:
            raise SettingsError(
                f"Expected a section of mlflow.yaml in the variable {name}, but none of {', '.join(sections)} is meant:"
                " correct its name, or remove it."
            )


def _twice(node: Any) -> str:
    """A key that a mapping has twice, with its line; empty if there is none."""
    import yaml

    seen = set()
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if (name := str(key.value)) in seen:
            return f"`{name}` in line {key.start_mark.line + 1}"
        seen.add(name)
        if deeper := _twice(value):
            return deeper
    return ""
