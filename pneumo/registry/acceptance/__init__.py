"""Acceptance testing of a registered version at a place."""
