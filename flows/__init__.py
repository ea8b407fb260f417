"""Flows: compositions of tasks, each of which reads as a table of contents."""
