"""Tokens of sequences: k-mers and learned sub-words."""
