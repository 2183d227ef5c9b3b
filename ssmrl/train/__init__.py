"""The host side of a run: configuration, run folder, checkpoints, progress, and the loop."""
