"""Searching hyper-parameters: a space, a study that outlives kills, closed trials, one look at the test part."""
