"""Accuracy on a benchmark: metrics, rows, their store and tables; speed of the ops and of scoring."""
