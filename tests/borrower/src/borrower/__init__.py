"""Somebody else's project."""
