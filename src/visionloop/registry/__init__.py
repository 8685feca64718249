"""Experiments and registered models: the only place that speaks MLflow, and it imports it late."""
