"""Times one training step on this machine's CPU or GPU beside everything else that a user might pick.

    pip install '.[bench]' && python benchmarks/peers.py --set-up mnist --batch 128 --json peers.json

PyTorch as it comes, with channels last and with `torch.compile`, on a GPU (`--device gpu`) each as a CUDA
graph too; plain Flax; on a CPU the floor, the step's matrix products and Adam alone; on a GPU, where the
floor's short calls would take as long as it takes to make them, ours in bfloat16. How they are timed:
`sides.py`.
"""

import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

import sides
import tyro
from step import circumstances, show

PEERS: tuple[sides.Side, ...] = ("eager", "channels_last", "compile", "compile_channels_last", "plain_flax")
CUDA_GRAPHS: tuple[sides.Side, ...] = (
    "cuda_graph",
    "channels_last_cuda_graph",
    "compile_cuda_graph",
    "compile_channels_last_cuda_graph",
)


@dataclass(frozen=True)
class Options:
    """Times one training step: ours, PyTorch's, plain Flax's, and the machine's limit."""

    set_up: str = "mnist"
    """An experiment without code invariance and without instance noise."""
    batch: int = 128
    """Images in a step."""
    rounds: int = 5
    """Times that each side is timed."""
    steps: int = 25
    """Steps that one time is the mean of."""
    device: sides.Device = "cpu"
    """What takes the steps; "gpu" is the first one."""
    beside: tuple[sides.Side, ...] = ()
    """What ours is timed beside; by default all that the device has."""
    json: Path | None = None
    """Where the numbers are written."""


def gpu(used: bool) -> dict[str, str]:
    """The GPU's name where it is what is timed; there must be one."""
    if not used:
        return {}
    import torch

    if not torch.cuda.is_available():
        sys.exit("--device gpu: PyTorch finds no GPU")
    return {"gpu": torch.cuda.get_device_name()}


def main() -> None:
    """Times all sides in turn."""
    options = tyro.cli(Options, description=__doc__)
    sides.check(options.set_up, batch=options.batch, rounds=options.rounds, steps=options.steps)
    job = sides.Job(options.set_up, options.batch, options.steps, options.rounds, options.device)
    on_gpu = options.device == "gpu"
    card = gpu(on_gpu)
    every = (*PEERS, *CUDA_GRAPHS, "ours_bfloat16") if on_gpu else (*PEERS, "floor")
    beside = options.beside or every
    if strange := [side for side in beside if side not in every]:
        sys.exit(f"--beside {' '.join(strange)}: on a {options.device} it must be of {', '.join(every)}")
    peers = [side for side in beside if side in (*PEERS, *CUDA_GRAPHS)]
    found = sides.measure(job, ("ours", *beside))
    on = f" on {card['gpu']}" if card else ""
    show(f"One step of {job.experiment}, batch {job.batch}{on}", found)
    if options.json:
        ms = {side: statistics.median(times) for side, times in found["step"].items()}
        numbers = {
            "ratio": {peer: ms[peer] / ms["ours"] for peer in peers},
            **({"over_floor": ms["ours"] / ms["floor"]} if "floor" in ms else {}),
            "ms": ms,
            "ratio_by_round": {p: sides.ratios(found["step"][p], found["step"]["ours"]) for p in peers},
            "ms_by_round": found["step"],
            "matrix_product_gflops": found["product"],
        }
        options.json.write_text(json.dumps(numbers | vars(job) | circumstances() | card, indent=2) + "\n")


if __name__ == "__main__":
    main()
