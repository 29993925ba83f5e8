"""The configuration tree, importable so that installed commands find it."""
