"""One recipe over many data sets: which sets there are, their runs, and what these say together."""
