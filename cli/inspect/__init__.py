"""`pynet inspect`: who is connected, how, and whether all is as it was made."""
