"""A trained generator with its Q as one file, for people and programs that don't have the run."""
