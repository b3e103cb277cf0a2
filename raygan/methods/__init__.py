"""One file per method: what goes down, what a device does, what the server does."""
