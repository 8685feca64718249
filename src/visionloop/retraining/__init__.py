"""The loop's return path: feedback becomes labels, labels a dataset version, that a model, and the gate decides."""
