"""A genome: its store, what is held out of it, and the places and values that lie on it."""
