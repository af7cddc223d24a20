"""Labs that stand: found again by name, entered and left."""
