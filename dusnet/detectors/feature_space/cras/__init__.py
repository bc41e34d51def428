"""CRAS: center-aware residual anomaly synthesis."""
