"""What a file that MLflow runs as a model needs of it; importing this imports mlflow, which takes seconds."""

from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

__all__ = ["PythonModel", "set_model"]
