"""Labelled images of another place: external validation and acceptance tests."""
