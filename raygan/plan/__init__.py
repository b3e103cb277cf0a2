"""What a run would ask for, and what would go where, before anything is started."""
