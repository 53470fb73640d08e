"""What replicas tell each other in a step, counted in the compiled program."""

import dataclasses

import jax
import pytest
import reductions

from infogan_jax.config import Objective
from infogan_jax.tasks import infogan

pytestmark = pytest.mark.usefixtures("quick_compilation")


def test_a_program_s_text_is_counted():
    text = """
      %a = (f32[2,3]{1,0}, f32[]) all-reduce(%x, %y), replica_groups={{0,1}}
      ROOT %b = bf16[8]{0} all-reduce-start(%z), to_apply=%add
      %c = f32[9]{0} add(%all-reduce, %b)
      %d = bf16[8]{0} all-reduce-done(%b)
    """
    assert reductions.parse(text) == [(2, 28), (1, 16)]


def test_gradients_and_metrics_cross_the_replicas_in_one_reduction(tiny_config):
    config = dataclasses.replace(tiny_config, objective=Objective())
    state = jax.eval_shape(lambda: infogan.init(config, jax.random.key(0)))
    weights = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    statistics = sum(leaf.size for leaf in jax.tree.leaves(state.stats))
    first, *rest = reductions.reductions(config, jax.devices()[:2])
    assert 4 * weights <= first.nbytes < 4 * weights + 100
    # The rest is batch norm's: two means of each layer forward, and their gradients.
    assert sum(each.nbytes for each in rest) <= 4 * 3 * statistics


def test_time_on_paper():
    found = [reductions.Reduction(1, 10**9), reductions.Reduction(1, 0)]
    assert reductions.on_paper(found, 2, 1e9, 0.5) == pytest.approx(1 + 2 * 2 * 0.5)
    assert reductions.on_paper(found, 8, 1e9, 0) == pytest.approx(1.75)
