"""The only door to MLflow."""

from pneumo.tracking.client import Tracker
from pneumo.tracking.connection import answers, complaint, healthy
from pneumo.tracking.models.registry import ModelVersion

__all__ = ["ModelVersion", "Tracker", "answers", "complaint", "healthy"]
