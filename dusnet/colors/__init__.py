"""Colours of scores, deviations and verdicts: the same in files, pictures, windows and pages."""
