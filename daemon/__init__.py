"""pynetd, the wire between it and the launcher, and the one-shot that does without it."""
