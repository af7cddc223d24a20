"""`scripts/demo`: two containers, connected, reached, disconnected."""
