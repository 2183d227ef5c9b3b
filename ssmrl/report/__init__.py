"""What is said about a run: evaluation, intervals, pictures."""
