"""Errors that a user can act on: one sentence with what was expected, what came, and what to do."""


class PneumoError(Exception):
    """Base of all errors that pneumo raises on purpose; the message is meant for the user."""


class SettingsError(PneumoError):
    """`mlflow.yaml`, an environment override or a run parameter is wrong."""


class DataError(PneumoError):
    """The data cannot be used: missing, unreadable, unlabelled, or hostile."""


class OtherImageError(DataError):
    """An image that can be read and shows something else than a chest X-ray from the front."""


class ArchiveError(DataError):
    """A DICOMweb archive cannot be reached, refuses the login, or stays busy: further requests would not help."""


class GateFailedError(DataError):
    """The data were read, but an expectation of severity error failed."""


class WeightsError(PneumoError):
    """Pretrained weights cannot be found or fetched, or do not fit the backbone."""


class TrainingError(PneumoError):
    """A training could not be finished."""


class TrainingKilledError(TrainingError):
    """A training's process was killed from outside; its checkpoint is kept."""


class TrackingError(PneumoError):
    """MLflow cannot be reached, or refused what was asked."""


class PromotionError(PneumoError):
    """A registry change was refused or undone."""


class ServiceError(PneumoError):
    """A local service did not start, died, or its port is taken."""


class ModelError(PneumoError):
    """A saved model or its bundle is missing, was changed, or is of the wrong kind."""
