"""Artifacts on Prefect's pages, a file for each subject; stable keys let Prefect show each page's history over runs."""

from tasks.pages.candidates import leaderboard, progress_bar
from tasks.pages.checks import clean_table, doctor_table
from tasks.pages.data_set import data_summary, gate_table
from tasks.pages.decision import decision_table, model_card
from tasks.pages.links import link, links
from tasks.pages.other_places import acceptance, external_set, shift_table

__all__ = [
    "acceptance", "clean_table", "data_summary", "decision_table", "doctor_table", "external_set", "gate_table",
    "leaderboard", "link", "links", "model_card", "progress_bar", "shift_table",
]  # fmt: skip
