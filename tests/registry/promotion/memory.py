"""The part of MLflow's client that the registry's side of `Tracker` uses, in memory: thousands of calls in a second.

It answers with MLflow's own entities and errors. `test_interleavings.py` holds it against a real server.
"""

import itertools
from types import SimpleNamespace
from typing import Any

from mlflow.entities.model_registry import (
    ModelVersion,
    ModelVersionTag,
    RegisteredModel,
    RegisteredModelAlias,
    RegisteredModelTag,
)
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST
from mlflow.store.entities import PagedList


class Memory:
    """One registry; names, versions, tags and aliases as plain dictionaries, so that a deep copy is another one."""

    def __init__(self) -> None:
        self.models: dict[str, dict[str, dict[str, Any]]] = {}

    def create_registered_model(self, name: str, description: str) -> None:
        if name in self.models:
            raise MlflowException(f"Registered Model (name={name}) already exists.", RESOURCE_ALREADY_EXISTS)
        self.models[name] = {"tags": {}, "aliases": {}, "versions": {}}

    def get_registered_model(self, name: str) -> RegisteredModel:
        found = self._model(name)
        tags = [RegisteredModelTag(key, value) for key, value in found["tags"].items()]
        return RegisteredModel(name, 0, 0, tags=tags, aliases=self._aliases(name))

    def set_registered_model_tag(self, name: str, key: str, value: str) -> None:
        self._model(name)["tags"][key] = value

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        self._version(name, version)
        self._model(name)["aliases"][alias] = version

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        self._model(name)["aliases"].pop(alias, None)

    def get_run(self, run_id: str) -> SimpleNamespace:
        return SimpleNamespace(data=SimpleNamespace(tags={}))

    def get_logged_model(self, model_id: str) -> SimpleNamespace:
        return SimpleNamespace(source_run_id=model_id, tags={})

    def create_model_version(self, name: str, source: str, run_id: str, tags: dict[str, str], **_: Any) -> ModelVersion:
        number = next(str(number) for number in itertools.count(1) if str(number) not in self._model(name)["versions"])
        self._model(name)["versions"][number] = {"source": source, "run_id": run_id, "tags": dict(tags), "text": ""}
        return self.get_model_version(name, number)

    def get_model_version(self, name: str, version: str) -> ModelVersion:
        found = self._version(name, version)
        tags = [ModelVersionTag(key, value) for key, value in found["tags"].items()]
        facts = {"source": found["source"], "run_id": found["run_id"], "description": found["text"]}
        return ModelVersion(name, version, 0, **facts, tags=tags)

    def search_model_versions(self, words: str, **_: Any) -> PagedList[ModelVersion]:
        name = words.removeprefix("name='").removesuffix("'")
        return PagedList(
            [self.get_model_version(name, number) for number in self.models.get(name, {"versions": {}})["versions"]],
            None,
        )

    def update_model_version(self, name: str, version: str, description: str) -> None:
        self._version(name, version)["text"] = description

    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        self._version(name, version)["tags"][key] = value

    def _model(self, name: str) -> dict[str, dict[str, Any]]:
        if name not in self.models:
            raise MlflowException(f"Registered Model with name={name} not found", RESOURCE_DOES_NOT_EXIST)
        return self.models[name]

    def _aliases(self, name: str) -> list[RegisteredModelAlias]:
        return [RegisteredModelAlias(alias, version) for alias, version in self._model(name)["aliases"].items()]

    def _version(self, name: str, version: str) -> dict[str, Any]:
        found = self._model(name)["versions"].get(version)
        if found is None:
            raise MlflowException(f"Model Version (name={name}, version={version}) not found", RESOURCE_DOES_NOT_EXIST)
        return dict.__getitem__(self._model(name)["versions"], version)
