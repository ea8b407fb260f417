"""What every task and flow needs of Prefect: stages, names, logins, runs in MLflow, where trainings run."""
