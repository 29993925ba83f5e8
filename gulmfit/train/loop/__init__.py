"""The training loop: tasks, schedules, metrics, and one fit in one run folder."""
