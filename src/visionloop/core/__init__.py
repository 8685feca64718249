"""What everything stands on: errors, settings, files, images. Imports nothing else of visionloop."""
