"""What was asked and answered: the prediction store, and what is computed from it."""
