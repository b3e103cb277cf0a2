"""Experiment trackers: a run's config, metrics, pictures and generator for MLflow and Weights & Biases."""
