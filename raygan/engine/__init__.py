"""Executors, actors, the round loop, checkpoints: where the methods run."""
