"""What the commands do, one file each; ``agents.cli`` reads the command line."""
