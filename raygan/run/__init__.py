"""A run from the command to its end."""
