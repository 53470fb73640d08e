import dataclasses
import io
import itertools
import json
import resource
import shutil
import signal
import time
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from infogan_jax.config import Data, SuperResolutionConfig, Train
from infogan_jax.data.dataset import Dataset, Split
from infogan_jax.errors import UserError
from infogan_jax.networks.tables import SuperResolution
from infogan_jax.tasks import infogan
from infogan_jax.training import checkpoints, loop, run_folder
from infogan_jax.training.checkpoints import Checkpoints
from infogan_jax.training.loop import replicated
from infogan_jax.training.run_folder import Run


def settings(config, **train):
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **train))


def train(runs, dataset, devices=1, **options):
    console = Console(file=io.StringIO())
    return loop.train(runs, dataset, devices=jax.devices()[:devices], console=console, **options)


def run(config, dataset, folder, devices=1, resume_from=None, **options):
    return train([Run(config, folder, resume_from)], dataset, devices, **options)


def records(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    clock = ("seconds", "steps_per_second", "flops_per_second", "utilisation")
    return [{k: v for k, v in json.loads(line).items() if k not in clock} for line in lines]


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.fixture(scope="module")
def straight(tiny_config, digits, tmp_path_factory):
    """A run of 20 steps without a break, on one device."""
    folder = tmp_path_factory.mktemp("straight")
    assert run(settings(tiny_config, keep=3), digits, folder) is None
    return folder


def test_leaves_checkpoints_log_samples_and_tensorboard(straight):
    assert run_folder.steps(straight) == [0, 10, 20]
    assert [record["step"] for record in records(straight)] == [5, 10, 15, 20]
    samples = sorted((straight / "samples").iterdir())
    assert [path.name for path in samples] == ["0000010.png", "0000020.png"]
    with Image.open(samples[-1]) as image:
        assert np.asarray(image).std() > 0
    assert any((straight / "tensorboard").iterdir())


def test_the_rate_of_arithmetic_is_the_steps_times_their_products(straight, tiny_config):
    record = json.loads((straight / "metrics.jsonl").read_text().splitlines()[-1])
    # The transposed convolution to 8x8x1 alone has 4x4x8 inputs that each spread to 16 pixels.
    least = 2 * tiny_config.train.batch * 4 * 4 * 8 * 16
    assert least * 10 < record["flops_per_second"] / record["steps_per_second"] < least * 1000


def test_the_share_of_the_peak_is_told_where_the_peak_is_known(tiny_config, digits, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "peak", lambda devices, dtype: 1e10)
    told = io.StringIO()
    runs = [Run(settings(tiny_config, steps=10), tmp_path)]
    loop.train(runs, digits, devices=jax.devices()[:1], console=Console(file=told, width=200))
    record = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert record["utilisation"] == pytest.approx(record["flops_per_second"] / 1e10, abs=5e-5)
    share = f"{100 * record['utilisation']:.3g} % of the peak"
    assert f"GFLOP/s ({share})" in told.getvalue()


def test_a_profile_is_written_of_the_second_call(tiny_config, digits, tmp_path):
    run(settings(tiny_config, steps=10), digits, tmp_path / "run", profile=tmp_path / "profile")
    (profile,) = (tmp_path / "profile").rglob("*.xplane.pb")
    assert profile.stat().st_size > 0


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    straight, tiny_config, digits, tmp_path, checkpoint_arrays
):
    run(settings(tiny_config, steps=10), digits, tmp_path)
    # Training went on over the donated state while the first run wrote this checkpoint.
    assert_equal(checkpoint_arrays(tmp_path, 10), checkpoint_arrays(straight, 10))
    run(tiny_config, digits, tmp_path, resume_from=10)
    assert_equal(checkpoint_arrays(tmp_path, 20), checkpoint_arrays(straight, 20))
    assert records(tmp_path) == records(straight)


def test_steps_that_no_call_divides_give_the_same_numbers(
    straight, tiny_config, digits, tmp_path, checkpoint_arrays
):
    run(settings(tiny_config, steps_per_call=8), digits, tmp_path)
    assert [record["step"] for record in records(tmp_path)] == [8, 16, 20]
    assert_equal(checkpoint_arrays(tmp_path, 20), checkpoint_arrays(straight, 20))


def test_a_call_of_one_step_has_the_bits_of_a_longer_one(tiny_config, digits, tmp_path, checkpoint_arrays):
    # With XLA's optimisations, as they are: it would unroll a loop of one step.
    short = settings(tiny_config, steps=2, checkpoint_every=2)
    run(settings(short, steps_per_call=2), digits, tmp_path / "a")
    run(settings(short, steps_per_call=1), digits, tmp_path / "b")
    assert_equal(checkpoint_arrays(tmp_path / "b", 2), checkpoint_arrays(tmp_path / "a", 2))


def test_records_after_the_checkpoint_are_not_logged_twice(straight, tiny_config, digits, tmp_path):
    run(settings(tiny_config, steps=10), digits, tmp_path)
    # What a run leaves that was killed after its last checkpoint, in the middle of a line.
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 15, "loss_d": 9.0}\n{"step": 2')
    run(tiny_config, digits, tmp_path, resume_from=10)
    assert records(tmp_path) == records(straight)


def test_a_run_moves_from_eight_devices_to_one(straight, tiny_config, digits, tmp_path):
    run(settings(tiny_config, steps=10), digits, tmp_path, devices=8)
    run(tiny_config, digits, tmp_path, resume_from=10)
    for moved, stayed in zip(records(tmp_path), records(straight), strict=True):
        assert moved == pytest.approx(stayed, rel=1e-3, abs=1e-4)


def test_a_run_moves_from_one_device_to_eight(straight, tiny_config, digits, tmp_path):
    shutil.copytree(straight / "checkpoints/10", tmp_path / "checkpoints/10")
    run(tiny_config, digits, tmp_path, devices=8, resume_from=10)
    assert [record["step"] for record in records(tmp_path)] == [15, 20]
    for moved, stayed in zip(records(tmp_path), records(straight)[2:], strict=True):
        assert moved == pytest.approx(stayed, rel=1e-3, abs=1e-4)


def test_another_seed_is_another_run(straight, tiny_config, digits, tmp_path):
    run(dataclasses.replace(settings(tiny_config, steps=5), seed=1), digits, tmp_path)
    assert records(tmp_path)[0]["loss_d"] != records(straight)[0]["loss_d"]


# Several seeds in one program


@pytest.fixture(scope="module")
def three(tiny_config, digits, tmp_path_factory):
    """Three seeds together; the second is that of `straight`."""
    folder = tmp_path_factory.mktemp("three")
    runs = [Run(dataclasses.replace(tiny_config, seed=seed), folder / f"s{seed}") for seed in (3, 0, 5)]
    assert train(runs, digits) is None
    return runs


def test_together_each_run_is_what_it_is_alone(three, straight, checkpoint_arrays):
    assert run_folder.steps(three[1].folder) == [10, 20]
    assert records(three[1].folder) == records(straight)
    assert_equal(checkpoint_arrays(three[1].folder, 20), checkpoint_arrays(straight, 20))
    with (
        Image.open(three[1].folder / "samples/0000020.png") as a,
        Image.open(straight / "samples/0000020.png") as b,
    ):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    losses = {records(run.folder)[-1]["loss_d"] for run in three}
    assert len(losses) == 3
    assert [run_folder.config(run.folder, 20).seed for run in three] == [3, 0, 5]


@pytest.mark.slow
def test_together_they_resume(three, tiny_config, digits, tmp_path, checkpoint_arrays):
    runs = [run._replace(folder=tmp_path / run.folder.name) for run in three[:2]]
    half = settings(tiny_config, steps=10)
    train([run._replace(config=dataclasses.replace(half, seed=run.config.seed)) for run in runs], digits)
    train([run._replace(resume_from=10) for run in runs], digits)
    for resumed, whole in zip(runs, three, strict=False):
        assert records(resumed.folder) == records(whole.folder)
        assert_equal(checkpoint_arrays(resumed.folder, 20), checkpoint_arrays(whole.folder, 20))


@pytest.mark.slow
def test_together_on_eight_devices(three, digits, tmp_path):
    runs = [run._replace(folder=tmp_path / run.folder.name) for run in three[:2]]
    train(runs, digits, devices=8)
    for spread, whole in zip(runs, three, strict=False):
        for a, b in zip(records(spread.folder), records(whole.folder), strict=True):
            assert a == pytest.approx(b, rel=1e-3, abs=1e-4)


@pytest.mark.slow
def test_steps_taken_at_once_are_those_taken_in_turn(three, tiny_config, digits):
    # At once is what an accelerator does.
    devices = jax.devices()[:1]
    states = [loop.initial_state(run.config, devices) for run in three[:2]]
    states = jax.tree.map(lambda *leaves: jax.numpy.stack(leaves), *states)
    batches = [loop.device_batches(run.config, 0, 2, len(digits.train.images), 1) for run in three[:2]]
    images = jax.device_put(digits.train.images, replicated(devices))
    results = []
    for stacked in (False, True):
        steps = loop.compile_steps(tiny_config, devices, 2, stacked=stacked)
        placed = jax.device_put(jax.tree.map(jax.numpy.copy, states), replicated(devices))
        results.append(steps(placed, images, np.stack(batches, axis=1))[1])
    for name, values in results[0].items():
        assert values.shape == (2, 2)
        np.testing.assert_allclose(results[1][name], values, rtol=1e-3, atol=1e-5, err_msg=name)


def test_runs_that_are_not_of_one_kind_are_refused(tiny_config, digits, tmp_path):
    one, two = Run(tiny_config, tmp_path / "a"), Run(settings(tiny_config, batch=8), tmp_path / "b")
    with pytest.raises(ValueError, match=r"b differs from .*a in more than its seed"):
        train([one, two], digits)
    with pytest.raises(ValueError, match=r"b starts at step 10, .*a at None"):
        train([one, one._replace(folder=tmp_path / "b", resume_from=10)], digits)
    assert not list(tmp_path.iterdir())


def test_the_latest_are_kept_and_some_for_good(tiny_config, digits, tmp_path):
    run(
        settings(tiny_config, steps_per_call=2, checkpoint_every=2, keep=2, keep_every=8),
        digits,
        tmp_path,
    )
    assert run_folder.steps(tmp_path) == [0, 8, 16, 18, 20]


def test_the_first_value_that_is_not_finite_stops_the_run(tiny_config, digits, tmp_path, checkpoint_arrays):
    rates = dataclasses.replace(tiny_config.optimizer, lr_generator=1e38, lr_discriminator=1e38)
    config = dataclasses.replace(tiny_config, optimizer=rates)
    message = r"^step [2-5]: .*(loss|grad_norm|mi)_\w+ = (nan|inf|-inf)"
    with pytest.raises(loop.NonFiniteError, match=message) as stopped:
        run(config, digits, tmp_path)
    assert stopped.value.run_dir == tmp_path
    assert run_folder.steps(tmp_path) == [0]
    for name, value in checkpoint_arrays(tmp_path, 0).items():
        assert np.isfinite(value).all(), name


def test_after_a_nan_at_one_step_and_a_clock_set_forward_and_back_the_numbers_are_the_same(
    straight, tiny_config, digits, tmp_path, monkeypatch, checkpoint_arrays
):
    step = infogan.step

    def poisoned(config, state, images):
        new, metrics = step(config, state, images)
        return new, metrics | {"loss_g": jax.numpy.where(state.step == 13, np.nan, metrics["loss_g"])}

    # An hour later each time that it is looked at, and then an hour earlier.
    now, hours = time.time, itertools.count()
    monkeypatch.setattr(time, "time", lambda: now() + 3600 * next(hours))
    monkeypatch.setattr(infogan, "step", poisoned)
    with pytest.raises(loop.NonFiniteError, match=r"^step 14: loss_g = nan; stopped"):
        run(tiny_config, digits, tmp_path)
    assert run_folder.steps(tmp_path) == [0, 10]
    assert [record["step"] for record in records(tmp_path)] == [5, 10]
    monkeypatch.setattr(infogan, "step", step)
    monkeypatch.setattr(time, "time", lambda: now() - 3600 * next(hours))
    run(tiny_config, digits, tmp_path, resume_from=10)
    assert records(tmp_path) == records(straight)
    assert_equal(checkpoint_arrays(tmp_path, 20), checkpoint_arrays(straight, 20))
    seconds = [json.loads(line)["seconds"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert seconds == sorted(seconds) and seconds[-1] < 1000


def test_a_state_that_is_not_finite_is_not_saved(tiny_config, digits, tmp_path, monkeypatch):
    step = infogan.step

    def overflowing(config, state, images):
        # The losses and gradients are finite, and what the update makes of them isn't.
        new, metrics = step(config, state, images)
        return new.replace(params=jax.tree.map(lambda x: x / 0, new.params)), metrics

    monkeypatch.setattr(infogan, "step", overflowing)
    with pytest.raises(loop.NonFiniteError, match=r"^after step 1 the state is not finite: state.params"):
        run(settings(tiny_config, steps=1), digits, tmp_path)
    assert run_folder.steps(tmp_path) == [0]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_disk_that_fills_during_a_checkpoint_leaves_those_before(
    tiny_config, digits, tmp_path, monkeypatch, straight, checkpoint_arrays, capfd
):
    # The system refuses to let a file grow as it does on a full disk: with another number, at the same place.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    save = Checkpoints.save

    def filled(self, step, state, config):
        if step == 10:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
        save(self, step, state, config)

    monkeypatch.setattr(Checkpoints, "save", filled)
    try:
        with pytest.raises(
            UserError, match=r"a checkpoint can't be written \(.*[Ff]ile too large.*make room"
        ):
            run(tiny_config, digits, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert run_folder.newest_whole(tmp_path) == (0, {})
    assert_equal(checkpoint_arrays(tmp_path, 0), checkpoint_arrays(straight, 0))
    assert "Traceback" not in capfd.readouterr().err


def test_of_one_failure_the_echoes_are_not_told(monkeypatch):
    told = []
    monkeypatch.setattr(checkpoints, "_unraisable", told.append)
    for error in (RuntimeError("Event loop is closed"), RuntimeError("another")):
        checkpoints._without_echoes(SimpleNamespace(exc_value=error))
    assert [each.exc_value.args for each in told] == [("another",)]


def test_devices_that_cannot_share_the_batch_are_refused(tiny_config, digits, tmp_path):
    with pytest.raises(UserError, match="take 16 or 24"):
        run(settings(tiny_config, batch=20), digits, tmp_path / "run", devices=8)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("count", [1, 8])
def test_the_program_compiles_once(tiny_config, digits, count):
    devices = jax.devices()[:count]
    images = jax.device_put(digits.train.images, replicated(devices))
    loop._program.cache_clear()
    state, steps = loop.initial_state(tiny_config, devices), loop.compile_steps(tiny_config, devices)
    compiled = []

    def note(event, *_, **__):
        if "backend_compile" in event:
            compiled.append(event)

    def call(state, seed):
        config = dataclasses.replace(tiny_config, seed=seed)
        state, _ = steps(state, images, loop.device_batches(config, 0, 5, len(images), count))
        # As the loop does.
        return jax.device_put(state, replicated(devices))

    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        state = call(state, 0)
        assert compiled
        compiled.clear()
        # The second call gets the first one's results, whose layout must be that of the start.
        state = call(call(state, 1), 2)
        assert not compiled
    finally:
        jax.monitoring.clear_event_listeners()


def test_device_batches_are_the_global_batches(tiny_config):
    one = loop.device_batches(tiny_config, 7, 3, 100, 1)
    eight = loop.device_batches(tiny_config, 7, 3, 100, 8)
    assert one.shape == (1, 3, 16) and eight.shape == (8, 3, 2)
    np.testing.assert_array_equal(np.concatenate(list(eight), axis=1), one[0])


def test_a_signal_before_the_first_step_leaves_the_first_checkpoint(
    tiny_config, digits, tmp_path, monkeypatch
):
    initial_state = loop.initial_state

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGTERM)
        return initial_state(*arguments)

    monkeypatch.setattr(loop, "initial_state", interrupted)
    assert run(tiny_config, digits, tmp_path) == signal.SIGTERM
    assert run_folder.steps(tmp_path) == [0]


# A run that begins with what another has learned


@pytest.fixture(scope="module")
def photographs():
    images = np.random.default_rng(0).integers(0, 256, (5, 12, 12, 3), dtype=np.uint8)
    return Dataset("noise", Split(images, None), Split(images, None), num_classes=None)


@pytest.mark.slow
def test_a_run_begins_with_an_earlier_ones_generator_and_resumes_with_its_own(
    photographs, tmp_path, monkeypatch, checkpoint_arrays
):
    content = SuperResolutionConfig(
        experiment="tiny-content",
        data=Data("folder", "noise", crop=12),
        networks=SuperResolution(blocks=1, channels=4, factor=2, discriminator_channels=2),
        low_crop=4,
        train=Train(steps=2, batch=2, steps_per_call=1, checkpoint_every=1, keep=3),
        seed=4,
    )
    run(settings(content, steps=1), photographs, tmp_path / "content/s4")
    config = dataclasses.replace(content, adversarial_weight=1.0, init_from=tmp_path / "content")
    # One program for all trainings of this kind.
    compiled = loop.compile_steps(config, jax.devices()[:1])
    monkeypatch.setattr(loop, "compile_steps", lambda *_, **__: compiled)
    run(config, photographs, tmp_path / "straight")
    learned = checkpoint_arrays(tmp_path / "content/s4", 1)
    begun, ended = (checkpoint_arrays(tmp_path / "straight", step) for step in (0, 2))
    assert begun[".step"] == 0 and any("discriminator" in name for name in begun)
    for name, value in learned.items():
        if ".params" in name or ".stats" in name:
            np.testing.assert_array_equal(begun[name], value, err_msg=name)
            start = name.replace(".stats", ".start['stats']").replace(
                ".params['generator']", ".start['params']"
            )
            for state in (begun, ended):
                np.testing.assert_array_equal(state[start], value, err_msg=start)
    moved = [name for name in learned if ".params" in name and not np.array_equal(ended[name], learned[name])]
    assert len(moved) == sum(".params" in name for name in learned)
    run(settings(config, steps=1), photographs, tmp_path / "resumed")
    # The earlier run is not asked again.
    (tmp_path / "content").rename(tmp_path / "gone")
    run(config, photographs, tmp_path / "resumed", resume_from=1)
    assert_equal(checkpoint_arrays(tmp_path / "resumed", 2), ended)
    assert records(tmp_path / "resumed") == records(tmp_path / "straight")


def test_steps_get_the_constants_of_their_task(tiny_config):
    class Task:
        @staticmethod
        def step(config, state, images, weight, *rest):
            return state + weight["w"] * images.sum().astype(np.float32) + rest[0], {"weight": weight["w"]}

    devices = jax.devices()[:2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "task_of", lambda config: Task)
        for runs in (1, 2):
            steps = loop.compile_steps(tiny_config, devices, runs, constants=2)
            indices = np.zeros((2, *(2,) * (runs > 1), 3, 1), np.int32)
            state, metrics = steps(
                np.zeros(() if runs == 1 else (2,), np.float32),
                np.full((1, 2, 2, 1), 3, np.uint8),
                indices,
                {"w": np.float32(2.0)},
                np.float32(1.0),
            )
            np.testing.assert_array_equal(state, np.full(state.shape, 3 * (2 * 12 + 1)))
            np.testing.assert_array_equal(metrics["weight"], np.full((3,) if runs == 1 else (2, 3), 2.0))
