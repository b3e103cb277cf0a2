"""Training methods, one file each: the device side and the server side of a round."""
