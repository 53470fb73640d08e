"""What is trained: for each task an `init` and a pure `step` for one replica."""
