"""Registered models: versions, aliases, tags, descriptions."""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pneumo.errors import TrackingError
from pneumo.records.base import Record
from pneumo.tracking.addresses import page
from pneumo.tracking.connection import EXISTS, MISSING, as_tracking_errors, pages, quoted
from pneumo.tracking.models import package

if TYPE_CHECKING:
    from mlflow import MlflowClient

HISTORY = "pneumo.history."  # prefix of tags of a registered model that hold entries of its history
REGISTERED = "pneumo.key"  # tag of every version that pneumo registers, and of no other
NUMBER = re.compile(r"\d{1,9}")  # for a longer one MLflow's server fails, and its client asks again for minutes
ADDRESS = re.compile(r"models:/([^/:@]+)(?:/([^/@]+)|@(.+))")
LONGEST_DESCRIPTION = 5000  # characters that MLflow's column holds
MODEL = (
    "Tells pneumonia from healthy lungs on chest X-rays. **Not a medical device.** Each version has its model card.\n\n"
    "`champion` serves, `challenger` was judged last, `previous` is where a rollback goes, `accepted` "
    "was accepted at a place. The tags `pneumo.history.*` are every promotion, rejection, rollback, lift and "
    "calibration: `pneumo champion --history`."
)


class ModelVersion(Record):
    """One registered version; `created` in seconds since 1970, `source` the address of its files."""

    name: str
    version: str
    run_id: str
    tags: dict[str, str]
    description: str
    created: float
    source: str = ""

    @property
    def uri(self) -> str:
        """Its address in MLflow."""
        return f"models:/{self.name}/{self.version}"


class Registered(Record):
    """A registered model at one moment: its versions by alias, and its own tags."""

    aliases: dict[str, str]
    tags: dict[str, str]


class ModelRegistry:
    """The registered models of one MLflow server."""

    def __init__(self, client: "MlflowClient", uri: str, page: str) -> None:
        self.client, self.uri, self.page = client, uri, page

    @as_tracking_errors
    def register(self, model_uri: str, name: str, description: str = "", tags: Mapping[str, str] | None = None) -> str:
        """Add a version of a logged model "models:/m-..."; the registered model is created when there is none.

        A tag of the version holds the digest of the files that were logged.
        """
        self._ensure(name)
        model_id = model_uri.removeprefix("models:/")
        logged = self.client.get_logged_model(model_id)
        kept = {key: str(value) for key, value in logged.tags.items() if key == package.TAG}
        every, description = {**(tags or {}), **kept}, description[:LONGEST_DESCRIPTION]
        made = self.client.create_model_version(
            name, model_uri, logged.source_run_id, every, description=description, model_id=model_id,
            await_creation_for=0,
        )  # fmt: skip
        return str(made.version)

    def alias(self, name: str, alias: str) -> str | None:
        """The version of an alias; None without the model or the alias."""
        return self.aliases(name).get(alias)

    @as_tracking_errors
    def registered(self, name: str) -> Registered:
        """Aliases and tags of a registered model at one moment; empty without the model."""
        found = _if_there(self.client.get_registered_model, name)
        if found is None:
            return Registered(aliases={}, tags={})
        aliases = {alias: str(version) for alias, version in found.aliases.items()}
        return Registered(aliases=aliases, tags=dict(found.tags))

    def aliases(self, name: str) -> dict[str, str]:
        """Version by alias; empty without the model."""
        return self.registered(name).aliases

    @as_tracking_errors
    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Move an alias, in one step of the registry's database."""
        self.client.set_registered_model_alias(name, alias, version)

    @as_tracking_errors
    def delete_alias(self, name: str, alias: str) -> None:
        """Remove an alias; no error if there is none."""
        self.client.delete_registered_model_alias(name, alias)

    @as_tracking_errors
    def set_version_tags(self, name: str, version: str, tags: Mapping[str, str]) -> None:
        """Add tags of a version or change them."""
        for key, value in tags.items():
            self.client.set_model_version_tag(name, version, key, value)

    @as_tracking_errors
    def describe_version(self, name: str, version: str, description: str) -> None:
        """Replace a version's description (Markdown, cut at MLflow's limit)."""
        self.client.update_model_version(name, version, description[:LONGEST_DESCRIPTION])

    @as_tracking_errors
    def delete_version(self, name: str, version: str) -> None:
        """Remove a version and its aliases; its number is not used again."""
        self.client.delete_model_version(name, version)

    @as_tracking_errors
    def set_model_tag(self, name: str, key: str, value: str) -> None:
        """Add a tag of the registered model or change it."""
        self._ensure(name)
        self.client.set_registered_model_tag(name, key, value)

    @as_tracking_errors
    def versions(self, name: str) -> list[ModelVersion]:
        """All versions, oldest first."""
        found = pages(lambda token: self._search_versions(f"name={quoted(name)}", token))
        return sorted((_record(item) for item in found), key=lambda item: int(item.version))

    @as_tracking_errors
    def every_version(self) -> list[ModelVersion]:
        """All versions of all registered models that this login may see, whoever registered them."""
        return [_record(item) for item in pages(lambda token: self._search_versions("", token))]

    @as_tracking_errors
    def version(self, name: str, version: str) -> ModelVersion | None:
        """One version; None if there is none with that number."""
        found = _if_there(self.client.get_model_version, name, version) if NUMBER.fullmatch(version) else None
        return _record(found) if found else None

    def resolve(self, uri: str) -> ModelVersion:
        """The version at "models:/name/version" or "models:/name@alias".

        Raises:
            TrackingError: the address is of another form, or there is no such version.
        """
        name, number, alias = found.groups() if (found := ADDRESS.fullmatch(uri)) else ("", "", "")
        number = self.alias(name, alias) if alias else number
        version = self.version(name, number) if number else None
        if version is None:
            raise TrackingError(
                f"Expected models:/name/version or models:/name@alias of a model in {self.uri}, but there is no {uri}: "
                "see its page, or `pneumo champion --history`."
            )
        return version

    def version_url(self, name: str, version: str) -> str:
        """Address of the version's page."""
        return page(self.page, f"models/{name}/versions/{version}")

    def _search_versions(self, words: str, token: str | None) -> Any:
        return self.client.search_model_versions(words, max_results=200, page_token=token)

    def _ensure(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(name, description=MODEL)
        except MlflowException as error:
            if error.error_code != EXISTS:
                raise


def _if_there(ask: Callable[..., Any], *names: str) -> Any:
    """What MLflow has under these names; None if there is nothing."""
    from mlflow.exceptions import MlflowException

    try:
        return ask(*names)
    except MlflowException as error:
        if error.error_code == MISSING:
            return None
        raise


def _record(found: Any) -> ModelVersion:
    return ModelVersion(
        name=found.name,
        version=str(found.version),
        run_id=found.run_id or "",
        tags=dict(found.tags),
        description=found.description or "",
        created=found.creation_timestamp / 1000,
        source=found.source or "",
    )
