"""Netlink: messages as bytes, the socket they go through, and one module a kind of object."""
