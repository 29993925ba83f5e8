"""Kinds of target: what is known of a sequence, how predictions of it are judged, and how that is shown."""
