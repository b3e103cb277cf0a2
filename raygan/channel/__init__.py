"""Simulated links, time and choice of devices: computed from FLOPs, bytes and random streams, never measured."""
