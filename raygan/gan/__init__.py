"""What a GAN is: networks, losses, one discriminator step, one generator step."""
