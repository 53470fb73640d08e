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
    from infogan_jax.library import (
        compare,
        draw_figures,
        enlarge,
        evaluate,
        evaluate_on,
        export_run,
        summarize,
        train,
        train_seeds,
    )

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "compare",
    "draw_figures",
    "enlarge",
    "evaluate",
    "evaluate_on",
    "experiments",
    "export_run",
    "load",
    "summarize",
    "train",
    "train_seeds",
]


def __getattr__(name: str) -> Any:
    # On first use: the command lines answer sooner for not importing what they don't need.
    if name == "experiments":
        import infogan_jax.experiments as module

        return module
    if name == "load":
        # Reading an exported file needs little of the rest.
        from infogan_jax.export.files import load

        return load
    if name in __all__:
        from infogan_jax import library

        return getattr(library, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
