"""Predictions along a genome: windows, scans, calls, bits per base."""
