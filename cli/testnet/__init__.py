"""`pynet testnet`: labs from topology files."""
