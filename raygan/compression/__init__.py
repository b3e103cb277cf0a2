"""Compression of what goes up: codecs, and the memory of what they left out."""
