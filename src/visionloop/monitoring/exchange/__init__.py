"""Predictions and labels in the forms of labelling tools, there and back."""
