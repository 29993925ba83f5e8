"""How a run survives: checkpoints, signals, processes, divergence."""
