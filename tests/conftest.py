"""Strict settings for every test: 8 CPU devices, no silent rank promotion, no warnings."""

import os

# Both are read when JAX starts its CPU client. Un-awaited collectives on several fake devices
# can use up a small machine's thread pool and stop for ever; NPROC sizes that pool.
os.environ.setdefault("NPROC", "16")
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
