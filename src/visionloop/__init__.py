"""visionloop: the whole loop for computer vision as one tested system."""

__version__ = "0.1.0"
