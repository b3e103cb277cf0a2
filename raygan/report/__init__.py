"""What a person looks at: sample grids, the progress display. Reads run folders; knows nothing of Ray."""
