"""The embedded benchmark: procedural parts, defects with exact ground truth, and a virtual scanner."""
