"""What tasks and flows need of Prefect: stages, names, logins, runs in MLflow, where trainings run."""
