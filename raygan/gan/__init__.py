"""The GAN: networks, losses, optimisers, and single training steps."""
