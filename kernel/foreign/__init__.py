"""Other people's firewalls: what they drop, and how a way through is asked for."""
