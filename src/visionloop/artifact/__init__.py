"""The bundle: what training hands to serving, and the one inference path that opens it."""
