"""Trains an experiment: `python train.py [EXPERIMENT] [OPTIONS]`."""

import sys

from infogan_jax.cli import train

if __name__ == "__main__":
    sys.exit(train())
