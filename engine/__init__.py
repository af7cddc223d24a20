"""The one loop: look, journal, apply, verify, undo."""
