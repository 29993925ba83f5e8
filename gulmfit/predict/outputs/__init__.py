"""The files that predictions are written to."""
