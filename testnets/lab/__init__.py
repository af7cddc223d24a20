"""A lab: its holder process, and the hosts and namespaces that live and end with it."""
