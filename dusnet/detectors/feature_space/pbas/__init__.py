"""PBAS: progressive boundary guided anomaly synthesis."""
