"""Scores, baselines, figures, tables and the HTML report: plain results in, numbers and pages out."""
