"""Labelled sequences: what a label is, where labels are read from, and what is checked in them."""
