import numpy as np
import pytest

from infogan_jax.codes import Categorical, LatentCodes, Uniform
from infogan_jax.data.dataset import Dataset, Factor, Split
from infogan_jax.evaluation import factors

CODES = LatentCodes(4, (Categorical(3), Uniform(), Uniform()))
FACTORS = (Factor("shape", "category"), Factor("size"), Factor("turn", "angle", "degrees", 360.0))


@pytest.fixture(scope="module")
def values():
    rng = np.random.default_rng(0)
    columns = rng.integers(0, 3, 400), rng.random(400), rng.uniform(0, 360, 400)
    return np.stack(columns, axis=1).astype(np.float32)


def measure(read, values, folder, known=FACTORS):
    return factors.measure_factors(read, values, known, CODES, folder)


def test_codes_that_are_the_factors_have_the_scores_of_perfect_codes(values, tmp_path):
    read = {"c1": (values[:, 0] + 1) % 3, "c2": -values[:, 1], "c3": values[:, 2] / 180 - 1}
    metrics, ((_, picture),) = measure(read, values, tmp_path)
    scores = metrics["disentanglement"]
    for name in ("beta_vae", "factor_vae", "modularity", "dci_disentanglement", "dci_completeness"):
        assert scores[name] > 0.95, name
    assert scores["mig"] > 0.8
    found = metrics["recovery"]
    assert [found[name]["best_code"] for name in ("shape", "size", "turn")] == ["c1", "c2", "c3"]
    assert found["shape"]["best_code_linear"] == 1 and found["shape"]["rank_correlation"] is None
    assert found["size"]["best_code_linear"] == pytest.approx(1, abs=1e-6)
    assert found["size"]["rank_correlation"] == pytest.approx(1) == found["turn"]["rank_correlation"]
    assert picture.stat().st_size > 1000
    rows = factors.results(metrics)
    assert len(rows) == 9 + 3 and rows[0][0] == "BetaVAE"
    assert all(meaning for _, _, meaning in rows)
    (line,) = factors.headline(metrics)
    assert "shape 1.00" in line and "turn" in line


def test_codes_of_noise_say_nothing(values, tmp_path):
    rng = np.random.default_rng(1)
    read = {"c1": rng.integers(0, 3, 400), "c2": rng.random(400), "c3": rng.random(400)}
    scores = measure(read, values, tmp_path)[0]["disentanglement"]
    assert scores["mig"] < 0.05 and scores["sap"] < 0.1 and scores["dci_informativeness"] < 0.1
    # Chance is a third, with a standard error of 0.03 of 300 votes, which share their examples.
    assert scores["factor_vae"] == pytest.approx(1 / 3, abs=0.1) == scores["beta_vae"]
    assert scores["explicitness"] == pytest.approx(1 / 2, abs=0.03)
    assert scores["dci_disentanglement"] < 0.05


def test_a_code_has_the_twenty_bins_of_published_figures(tmp_path):
    # Of 16 values two at a time would share one of ten bins, and the second factor be hidden. The code says
    # log 8 of one factor and log 2 of the other.
    code = np.arange(400) % 16
    known = (Factor("octave", "category"), Factor("parity", "category"))
    values = np.stack([code // 2, code % 2], axis=1).astype(np.float32)
    scores = measure({"c2": code.astype(np.float32)}, values, tmp_path, known)[0]["disentanglement"]
    assert scores["mig"] == pytest.approx(1, abs=1e-6)
    assert scores["modularity"] == pytest.approx(1 - 1 / 9, abs=1e-6)


def test_a_factor_that_does_not_vary_is_left_out(values, tmp_path):
    read = {"c1": values[:, 0], "c2": values[:, 1]}
    same = values.copy()
    same[:, 2] = 90
    assert measure(read, same, tmp_path)[0]["recovery"].keys() == {"shape", "size"}


def test_rare_values_are_left_out(values, tmp_path):
    rare = values.copy()
    rare[0, 0], rare[1:4, 0] = 7, 5
    read = {"c1": rare[:, 0], "c2": rare[:, 1]}
    without = {name: x[4:] for name, x in read.items()}
    assert measure(read, rare, tmp_path)[0] == measure(without, rare[4:], tmp_path)[0]


@pytest.mark.parametrize(
    "column",
    [
        np.where(np.arange(400) == 0, 0, 1 + np.arange(400) % 12),  # a single 0 among many values
        np.where(np.arange(400) % 12 == 0, np.linspace(0, 1, 400), 0),  # 0 in most images
    ],
    ids=["one of a kind", "mostly the same"],
)
def test_a_skewed_number_does_not_stop_the_rest(column, values, tmp_path):
    skewed = values.copy()
    skewed[:, 1] = column
    read = {"c1": values[:, 0], "c2": values[:, 2]}
    found = measure(read, skewed, tmp_path)[0]["recovery"]
    assert found["shape"]["best_code_linear"] == 1 and found["turn"]["best_code"] == "c2"


def test_a_category_of_hundreds_is_left_out_and_not_its_examples(values, tmp_path):
    fine = values.copy()
    fine[:, 0] = np.arange(400) // 4
    found = measure({"c2": values[:, 1]}, fine, tmp_path)[0]["recovery"]
    assert found.keys() == {"size", "turn"} and found["size"]["best_code_linear"] > 0.99


def test_one_factor_alone_has_the_scores_that_compare_no_factors(values, tmp_path):
    metrics, _ = measure({"c1": values[:, 0], "c2": values[:, 1]}, values[:, 1:2], tmp_path, FACTORS[1:2])
    scores = metrics["disentanglement"]
    absent = {name for name, score in scores.items() if score is None}
    assert absent == {name for name in scores if name.startswith(("beta", "factor", "dci", "modul"))}
    assert scores["mig"] > 0.8 and factors.results(metrics)[0][:2] == ("BetaVAE", "–")


def test_an_angle_along_one_axis_is_left_out(values, tmp_path):
    along = values.copy()
    along[:, 2] = 180 * (values[:, 2] > 90)
    assert measure({"c2": along[:, 1]}, along, tmp_path)[0]["recovery"].keys() == {"shape", "size"}


@pytest.mark.parametrize("case", ["no codes", "few examples", "nothing varies"])
def test_what_nothing_can_be_said_of_is_null(case, values, tmp_path):
    read = {} if case == "no codes" else {"c2": values[:, 1]}
    if case == "few examples":
        read, values = {"c2": values[:100, 1]}, values[:100]
    if case == "nothing varies":
        values = np.ones_like(values)
    metrics, pictures = measure(read, values, tmp_path)
    assert metrics == {"disentanglement": None, "recovery": None} and not pictures
    assert factors.results(metrics) == [] == factors.headline(metrics)


def test_the_examples_are_the_same_every_time_and_of_all_the_set():
    count = factors.EXAMPLES + 1000
    images = np.zeros((count, 2, 2, 1), np.uint8)
    values = np.arange(count, dtype=np.float32)[:, None]
    split = Split(images, None, values)
    data = Dataset("toy", split, split, None, (Factor("place"),))
    _, chosen = factors.choose_examples(data)
    assert chosen.shape == (factors.EXAMPLES, 1) and len(np.unique(chosen)) == factors.EXAMPLES
    assert chosen.max() > count - 20
    np.testing.assert_array_equal(factors.choose_examples(data)[1], chosen)
