"""What is computed in one round: workers, the server, and what they send. No Ray here, and no files."""
