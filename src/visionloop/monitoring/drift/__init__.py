"""Drift: what the service sees, compared with what the model was made for.

Nothing is imported here: the serving worker loads `features` and `observations` only, and never scipy.
"""
