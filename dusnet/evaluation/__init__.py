"""Metrics, the benchmark runner and its tables."""
