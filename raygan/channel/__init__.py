"""Simulated links, time and device selection, computed from FLOPs, bytes and random streams and never measured."""
