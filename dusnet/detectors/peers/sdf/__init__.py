"""The peer that learns a signed distance function per class."""
