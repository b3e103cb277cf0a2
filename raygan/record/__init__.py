"""The run folder: the log of its rounds, checkpoints, the generator, and its storage."""
