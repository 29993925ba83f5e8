"""From sequences to batches: token streams for language models, padded batches for classifiers."""
