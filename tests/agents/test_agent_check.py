"""An agent of somebody's own is refused before it has trained in vain."""

import jax.numpy as jnp
import pytest

from agents.check import PARTS, PLAYING, check_agent
from agents.ppo import PPO
from ssmrl.errors import UsageError


class Without:
    """Passes on what an agent has, less one part."""

    def __init__(self, agent, part):
        self._agent, self._part = agent, part

    def __getattr__(self, name):
        if name == self._part:
            raise AttributeError(name)
        return getattr(self._agent, name)


@pytest.fixture(scope="module")
def agent(make_agent) -> PPO:
    return make_agent(memory="mlp")


def test_ppo_has_all(agent):
    check_agent("agent 'ppo'", agent)


@pytest.mark.parametrize("part", [*PARTS, *PLAYING])
def test_parts_that_are_missing(agent, part):
    with pytest.raises(UsageError, match=rf"^agent 'own' has no '{part}'; agents/ppo.py"):
        check_agent("agent 'own'", Without(agent, part))


@pytest.mark.parametrize("metric", ["loss", "grad_norm", "episode_return"])
def test_metrics_that_are_missing(agent, metric, monkeypatch):
    def update(state):
        state, metrics = PPO.update(agent, state)
        return state, {name: mean for name, mean in metrics.items() if name != metric}

    monkeypatch.setattr(agent, "update", update)
    with pytest.raises(UsageError, match=rf"^agent 'own': update must return '{metric}' as a Mean"):
        check_agent("agent 'own'", agent)


def test_states_that_change(agent, monkeypatch):
    def update(state):
        state, metrics = PPO.update(agent, state)
        return state.replace(update=state.update.astype(jnp.float32)), metrics

    with monkeypatch.context() as patch:
        patch.setattr(agent, "update", update)
        with pytest.raises(UsageError, match=r"state.update is float32\[\] after update, but"):
            check_agent("agent 'own'", agent)
    monkeypatch.setattr(agent, "act", lambda *_: (jnp.zeros(3), jnp.zeros(2, int)))
    with pytest.raises(UsageError, match=r"agent 'own': memory state.* after act, but "):
        check_agent("agent 'own'", agent)
