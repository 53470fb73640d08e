"""The loop, its checkpoints and its log."""
