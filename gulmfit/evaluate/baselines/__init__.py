"""Cheap models that every score is shown next to."""
