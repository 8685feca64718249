"""The drill: proof that the loop closes, by letting a model decay and watching it being replaced."""
