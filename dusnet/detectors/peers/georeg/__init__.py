"""The peer that scores distance, plane and normal beside the nearest template points."""
