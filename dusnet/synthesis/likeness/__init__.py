"""Simulated datasets whose statistics are those of a public archive."""
