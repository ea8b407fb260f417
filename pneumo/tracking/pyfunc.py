"""What the file that MLflow runs as a model needs of MLflow; importing this takes seconds, as it imports mlflow."""

from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

__all__ = ["PythonModel", "set_model"]
