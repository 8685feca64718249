"""What a model is worth: evaluation through the Predictor, statistics, the gate, reports."""
