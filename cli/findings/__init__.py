"""What is wrong with what is attached here, in words, each with the command that mends it."""
