"""File formats of sequences, tables, annotations and variants."""
