"""The code that latents of categories begin with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssmrl.world_model.code import Code, first_code
from ssmrl.world_model.latents import Latents
from ssmrl.world_model.parts import Integers, Numbers, OneHots

PARTS = (OneHots((5,)), Numbers(2), Integers(2, 0, 2))
LATENTS = Latents(5, 3)
LEAD = (4, 7)
KEYS = jax.random.split(jax.random.key(0), 3)
PACKED = (
    jax.random.randint(KEYS[0], (*LEAD, 1), 0, 6).astype(jnp.uint8),
    jax.random.normal(KEYS[1], (*LEAD, 2)),
    jax.random.randint(KEYS[2], (*LEAD, 2), 0, 3).astype(jnp.uint8),
)
CODE = Code(PARTS, LATENTS)


def test_classes_are_the_digits_of_categories():
    """Five categories need two digits to base 3; the fifth group is left over."""
    params = CODE.init(jax.random.key(1), PACKED)
    log_probs = LATENTS.log_probs(CODE.apply(params, PACKED))
    assert log_probs.dtype == jnp.float32
    found = np.asarray(LATENTS.mode(log_probs)).reshape(*LEAD, 5, 3).argmax(-1)
    number, integers = np.asarray(PACKED[0][..., 0], int) - 1, np.asarray(PACKED[2])
    is_known = number >= 0  # else all classes are alike
    digits = np.stack([number % 3, number // 3, integers[..., 0], integers[..., 1]], -1)
    np.testing.assert_array_equal(found[is_known][:, :4], digits[is_known])
    most = np.exp(np.asarray(log_probs)).max(-1)
    assert most[is_known][:, :4].min() > 0.85
    np.testing.assert_allclose(most[~is_known][:, :2], 1 / 3, rtol=1e-5)
    np.testing.assert_allclose(most[..., 4], 1 / 3, rtol=1e-5)


@pytest.mark.parametrize(("sizes", "groups", "classes"), [((3,) * 52, 52, 3), ((300, 2), 4, 16)])
def test_observations_are_told_apart(sizes, groups, classes):
    weights = np.asarray(first_code(sizes, groups, classes)).reshape(sum(sizes), groups, classes)
    ends = np.cumsum([0, *sizes])
    for entry, size in enumerate(sizes):
        words = weights[ends[entry] : ends[entry + 1]].reshape(size, -1)
        assert len(np.unique(words, axis=0)) == size
        others = np.delete(weights, np.s_[ends[entry] : ends[entry + 1]], axis=0).any((0, 2))
        mine = words.reshape(size, groups, classes).any((0, 2))
        assert not (others & mine).any()  # groups are of one entry each


def test_nothing_is_coded_without_categories():
    code = Code((Numbers(2),), LATENTS)
    params = code.init(jax.random.key(1), PACKED[1:2])
    assert not jax.tree.leaves(params)
    assert code.apply(params, PACKED[1:2]) == 0
