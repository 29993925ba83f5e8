"""What a language model says of sequences, and what it writes."""
