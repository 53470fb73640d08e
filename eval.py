"""Measures a run: `python eval.py RUN_FOLDER [OPTIONS]`."""

import sys

from infogan_jax.cli import evaluate

if __name__ == "__main__":
    sys.exit(evaluate())
