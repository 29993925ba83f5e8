"""Related sequences: copies, overlaps, groups, and the leak check."""
