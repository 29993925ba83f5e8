"""Training: Lightning tasks, schedules, gradual unfreezing, and the runs that a stage consists of."""
