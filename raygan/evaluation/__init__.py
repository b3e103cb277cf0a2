"""Measuring and drawing a generator, alongside the training and once at its end."""
