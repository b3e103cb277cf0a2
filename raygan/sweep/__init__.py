"""Sweeps: many runs by Ray Tune, from a file to a ranked answer."""
