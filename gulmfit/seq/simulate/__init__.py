"""Simulated genomes and tasks, and the Markov model of sequences."""
