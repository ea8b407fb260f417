"""Compositions of tasks: each reads as a table of contents."""
