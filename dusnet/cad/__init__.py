"""A CAD model as the standard: where a scan deviates from it, and good scans of it where there is no good part yet."""
