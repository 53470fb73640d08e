"""InfoGAN in JAX: generators whose latent codes mean something, and the measures of how far they do."""

__version__ = "0.1.0"
