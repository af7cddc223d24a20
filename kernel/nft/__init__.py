"""Our nftables tables: their layout, and elements put in, looked up and taken out."""
