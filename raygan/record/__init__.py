"""The run folder: the log of its rounds, checkpoints, the generator, and where it is kept."""
