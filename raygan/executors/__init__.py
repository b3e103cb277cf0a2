"""Where the work of a round runs: in this process, or on Ray actors."""
