"""DHCP as a client speaks it, for both families: messages, state machines, and their sockets."""
