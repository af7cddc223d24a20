"""One handler a kind of resource: look, create, verify, delete."""
