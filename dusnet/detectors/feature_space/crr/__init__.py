"""CRR: collaborative reconstruction and repair."""
