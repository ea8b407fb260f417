"""Settings read from mlflow.yaml, overridden by PNEUMO_... environment variables.

Keys, limits and defaults of its sections are in four files:

data.py: data, gate
promotion.py: registry, promotion, accept
servers.py: tracking, services, serve, pool, engine
unattended.py: retrain, watch, retention, notify

How the file and the environment are read is in sources.py.
"""

import os
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableError

from pneumo.errors import SettingsError
from pneumo.settings.data import Data, Gate
from pneumo.settings.promotion import Accept, Promotion, Registry
from pneumo.settings.section import Section
from pneumo.settings.servers import Engine, Pool, Serve, Services, Tracking
from pneumo.settings.sources import read_file, require_known
from pneumo.settings.unattended import Notify, Retention, Retrain, Watch

FILE_NAME = "mlflow.yaml"
FILE = "PNEUMO_SETTINGS"  # where that file is, if not in the working folder
EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - to be told from one that can be opened


class Settings(BaseSettings):
    """What is the same for every run; what differs from run to run is a parameter of the flow."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="PNEUMO_", env_nested_delimiter="__", env_parse_none_str="null"
    )

    home: Path = Field(Path(".pneumo"), description="State folder: caches, databases, logs")
    tracking: Tracking = Tracking()
    registry: Registry = Registry()
    promotion: Promotion = Promotion()
    accept: Accept = Accept()
    gate: Gate = Gate()
    data: Data = Data()
    external: tuple[str, ...] = ()
    retrain: Retrain = Retrain()
    watch: Watch = Watch()
    retention: Retention = Retention()
    serve: Serve = Serve()
    notify: Notify = Notify()
    services: Services = Services()
    pool: Pool = Pool()
    engine: Engine = Engine()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Precedence: arguments, environment, mlflow.yaml, defaults."""
        return init_settings, env_settings, InitSettingsSource(settings_cls, read_file(settings_file()))

    @property
    def tracking_uri(self) -> str:
        """Address of the MLflow server: tracking.uri, or the embedded one."""
        return self.tracking.uri or f"http://{self.services.host}:{self.services.mlflow_port}"

    @property
    def prefect_api(self) -> str:
        """Address of the embedded Prefect server's API."""
        return f"http://{self.services.host}:{self.services.prefect_port}/api"

    @property
    def mlflow_page(self) -> str:
        """Where a browser opens MLflow's pages."""
        return (self.tracking.page or self.tracking.uri or self._page(self.services.mlflow_port)).rstrip("/")

    @property
    def prefect_page(self) -> str:
        """Where a browser opens the embedded Prefect server's pages."""
        return (self.services.prefect_page or self._page(self.services.prefect_port)).rstrip("/")

    def _page(self, port: int) -> str:
        """An embedded server's address; all addresses of a machine (0.0.0.0) are none for a browser."""
        host = self.services.host
        if host in EVERY_ADDRESS:
            host = next(iter(self.services.names), "127.0.0.1")
        return f"http://{host}:{port}"

    def model_name(self, synthetic: bool) -> str:
        """Name of the registered model to which a data set's candidates belong."""
        return self.registry.phantom_model if synthetic else self.registry.model


def load_settings() -> Settings:
    """Read mlflow.yaml of the working folder, or the file that PNEUMO_SETTINGS names, and the environment.

    Raises:
        SettingsError: a key is unknown or a value out of bounds; the message names the key.
    """
    if os.environ.get(FILE) and not settings_file().is_file():
        raise SettingsError(
            f"Expected the settings in {settings_file()}, which {FILE} names, found no file: correct it."
        )
    if not settings_file().is_file():
        raise SettingsError(
            f"Expected {FILE_NAME} in the working folder {Path.cwd()}: run this in the project's folder."
        )
    require_known(os.environ, _keys())
    try:
        settings = Settings()
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(item["loc"], item["msg"]) for item in error.errors())) from None
    except UnreadableError as error:  # of pydantic's, without the value
        raise SettingsError(f"Expected JSON in a variable that sets a list or a table, but: {error}.") from None
    if not settings.home.name:  # of an empty variable: the working folder
        raise SettingsError(_sentence(("home",), "expected a folder, got none: name one, or remove PNEUMO_HOME."))
    home = os.path.abspath(settings.home.expanduser())
    if "?" in home:  # in an address of SQLite the name of the file ends there
        raise SettingsError(_sentence(("home",), f"expected a path without a question mark, got {home}: move it."))
    return settings.model_copy(update={"home": Path(home)})


def _keys() -> dict[str, tuple[str, ...]]:
    """The keys of each section; of what is a single value there are none."""
    kinds = {name: field.annotation for name, field in Settings.model_fields.items()}
    return {
        name: tuple(kind.model_fields) if isinstance(kind, type) and issubclass(kind, Section) else ()
        for name, kind in kinds.items()
    }


def settings_file() -> Path:
    """The file of the settings in force."""
    return Path(os.environ.get(FILE) or FILE_NAME)


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    return f"{FILE_NAME}, key {'.'.join(map(str, location))}: {message[0].lower()}{message[1:]}"
