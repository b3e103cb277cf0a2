"""The places a round runs in: this process, or Ray actors. One executor, two transports."""
