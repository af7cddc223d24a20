"""Who has which address: ranges, leases, and other people's IPAM plugins."""
