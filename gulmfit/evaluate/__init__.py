"""How good a model is, in plain numbers: scores, intervals, tests, calibration."""
