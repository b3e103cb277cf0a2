"""Sweeps: many runs under Ray Tune, from a sweep file to a ranked result."""
