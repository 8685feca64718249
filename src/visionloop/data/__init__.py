"""Sources, the canonical dataset, its checks and splits. Knows no task."""
