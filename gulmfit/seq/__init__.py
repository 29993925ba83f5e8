"""Sequences: reading them, their alphabet, the genome store, tokens, labels and splits (no torch here)."""
