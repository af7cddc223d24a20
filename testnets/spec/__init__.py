"""What a topology says: its values, how they are written, read, checked and filled in."""
