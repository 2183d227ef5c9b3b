"""Options of the world-model agent: what numbers they make of each other."""

import pytest

from agents.r2i_config import Config
from ssmrl.errors import UsageError


def config(**options) -> Config:
    sizes = {"num_envs": 4, "num_steps": 4, "window": 8, "batch_size": 2, "replay_steps": 64}
    return Config(**{"train_ratio": 1, **sizes, **options})


@pytest.mark.parametrize(
    ("ratio", "envs", "descents"), [(1, 4, 1), (3, 4, 3), (0.5, 8, 1), (0.1, 40, 1), (0.7, 40, 7)]
)
def test_ratios_make_whole_numbers_of_gradient_steps(ratio, envs, descents):
    assert config(train_ratio=ratio, num_envs=envs, replay_steps=1600).num_descents == descents


@pytest.mark.parametrize("ratio", [1e-9, 0.1, 0.35, 0.5, 0.77, 1, 1.5, 7.1, 1e5, 1e9])
@pytest.mark.parametrize("envs", [1, 3, 7, 44])
def test_the_nearest_ratio_that_is_told_will_do(ratio, envs):
    """Typed as it is printed, and no other with a whole number of gradient steps is nearer."""
    sizes = {"num_envs": envs, "replay_steps": 64 * envs}
    each = 16 / (envs * 4)  # the ratio of one gradient step
    try:
        config(train_ratio=ratio, **sizes)
        nearest = ratio
    except UsageError as error:
        nearest = float(str(error).rpartition(" is ")[2])
    descents = config(train_ratio=nearest, **sizes).num_descents
    assert 1 <= descents <= 10**6
    others = [n * each for n in (descents - 1, descents + 1) if 1 <= n <= 10**6]
    assert all(abs(nearest - ratio) <= abs(other - ratio) + 1e-5 * other for other in others)


@pytest.mark.parametrize(("prefill", "rollouts"), [(0, 2), (32, 2), (33, 3), (64, 4)])
def test_acted_before_learning_is_a_window_at_least(prefill, rollouts):
    assert config(prefill=prefill).num_prefilled == rollouts


def test_steps_before_learning_count():
    config().check_total(48)
    with pytest.raises(UsageError, match=r"total_steps=47 leaves .* raise it to 48 or more$"):
        config().check_total(47)
