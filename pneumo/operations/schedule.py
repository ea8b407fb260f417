"""When deployments run by themselves: the schedules of mlflow.yaml, for flows/prefect.yaml."""

from pneumo.settings import Settings


def variables(settings: Settings) -> dict[str, str]:
    """Schedules of mlflow.yaml as variables of flows/prefect.yaml; an empty one becomes a date that is not active."""
    crons = {
        "RETRAIN": settings.retrain.cron,
        "WATCH": settings.watch.cron,
        "MAINTAIN": settings.retention.cron,
    }
    found = {f"PNEUMO_SCHEDULE_{name}": cron or "0 0 1 1 *" for name, cron in crons.items()}
    return found | {f"PNEUMO_SCHEDULE_{name}_ACTIVE": str(bool(cron)).lower() for name, cron in crons.items()}
