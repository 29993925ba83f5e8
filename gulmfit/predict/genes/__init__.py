"""From probabilities of bases to genes."""
