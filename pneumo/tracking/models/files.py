"""Files of models and runs: downloaded, compared with what was registered, loaded."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pneumo.errors import TrackingError
from pneumo.tracking.connection import as_tracking_errors
from pneumo.tracking.models import package
from pneumo.tracking.models.registry import ModelRegistry

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.pyfunc import PyFuncModel


class ModelFiles:
    """The files of one MLflow server's models and runs."""

    def __init__(self, client: "MlflowClient", uri: str, registry: ModelRegistry, unverified: bool = False) -> None:
        """`unverified`: whether models may be run whose files have no known digest."""
        self.client, self.uri = client, uri
        self.registry, self.unverified = registry, unverified

    @as_tracking_errors
    def download(self, uri: str, folder: Path) -> Path:
        """Download "models:/name/version", "models:/name@alias" or "runs:/id/path" to a folder; returns the path."""
        from mlflow.artifacts import download_artifacts

        folder.mkdir(parents=True, exist_ok=True)
        return Path(download_artifacts(self._location(uri), dst_path=str(folder), tracking_uri=self.uri))

    def load_pyfunc(self, uri: str) -> "PyFuncModel":
        """Load a registered model; this runs the code that was logged with it, after its files were `verified`."""
        with self.verified(uri) as folder:
            return _load(folder)

    @contextmanager
    def verified(self, uri: str) -> Iterator[Path]:
        """Files of a version, by address or alias, compared with what was logged; they are deleted after the block.

        Raises:
            TrackingError: a file was changed, added or removed, or there is no digest and `unverified` is not set.
        """
        version = self.registry.resolve(uri)
        kept = version.tags.get(package.TAG)
        if kept is None and not self.unverified:
            raise TrackingError(
                f"Expected a version whose files pneumo knows, but {version.uri} was registered by other software or an"
                " older pneumo: name another, or set registry.unverified to true in mlflow.yaml if you trust its code."
            )
        with self.downloaded(version.uri) as folder:
            if kept is not None and package.files_digest(folder) != kept:
                raise TrackingError(
                    f"Expected the files of {version.uri} as they were registered, but they were changed in the"
                    " artifact store: its code was not run; choose another version."
                )
            yield folder

    @contextmanager
    def downloaded(self, uri: str) -> Iterator[Path]:
        """Files of a model or run, deleted after the block."""
        with tempfile.TemporaryDirectory(prefix="pneumo-") as folder:
            yield self.download(uri, Path(folder))

    def _location(self, uri: str) -> str:
        """Where the files are; MLflow itself would ask its global address instead of this server."""
        if not uri.startswith("models:/"):
            return uri
        name, _, version = uri.removeprefix("models:/").partition("/")
        if "@" in name:
            name, _, alias = name.partition("@")
            version = str(self.client.get_model_version_by_alias(name, alias).version)
        if not version:
            return str(self.client.get_logged_model(name).artifact_location)
        source = str(self.client.get_model_version_download_uri(name, version))
        return self._location(source) if source.startswith("models:/") else source


def _load(folder: Path) -> "PyFuncModel":
    from mlflow.pyfunc import load_model

    return load_model(str(folder))
