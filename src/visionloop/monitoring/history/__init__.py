"""What the prediction store tells about time: how much was asked and answered, how fast, and how right."""
