"""Negatives for positives that come alone."""
