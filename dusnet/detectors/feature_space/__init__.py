"""CRAS, PBAS and CRR: features of places, and what learns from them (docs/methods)."""
