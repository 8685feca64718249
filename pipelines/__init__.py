"""One thin script per DVC stage: read settings, call one function, print one line."""
