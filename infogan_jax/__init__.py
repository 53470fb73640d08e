"""InfoGAN in JAX: generators whose latent codes mean something, and the measures of how far they do.

from infogan_jax import evaluate, experiments, load, train

run = train(experiments.DIGITS, "runs/digits")
measured = evaluate(run.folder)
model = load(run.folder)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infogan_jax import experiments
    from infogan_jax.export.files import load
    from infogan_jax.library import evaluate, train

__version__ = "0.1.0"

__all__ = ["__version__", "evaluate", "experiments", "load", "train"]


def __getattr__(name: str) -> Any:
    # On first use: the command lines answer sooner for not importing what they don't need.
    if name == "experiments":
        import infogan_jax.experiments as module

        return module
    if name == "load":
        from infogan_jax.export.files import load

        return load
    if name in ("evaluate", "train"):
        from infogan_jax import library

        return getattr(library, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
