"""What measures and draws a generator, beside the training and once at its end."""
