"""Measurements; each file prints its figures beside a baseline of the same run."""
