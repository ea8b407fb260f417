"""The only door to MLflow."""

from pneumo.tracking.client import Tracker
from pneumo.tracking.connection import complaint, healthy
from pneumo.tracking.models import ModelVersion

__all__ = ["ModelVersion", "Tracker", "complaint", "healthy"]
