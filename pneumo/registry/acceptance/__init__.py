"""Acceptance tests of a registered version at a place."""
