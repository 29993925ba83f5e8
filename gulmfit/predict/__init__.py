"""Prediction from a model folder, without Lightning or Hydra."""
