"""Adaptation is real: trained agents get better within trials, and memory is what does it."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from agents.cli import main

SEEDS = 3
MOST_WITHOUT_MEMORY = 0.15  # share of the gain
# Steps of each seed: trained side by side, on two idle cores, within five minutes.
TRAINED = {
    "meta/bernoulli_bandit": 1_500_000,
    "meta/dark_room": 2_500_000,
    "meta/twitchy_pole": 1_500_000,
}


def gains(curve: dict) -> np.ndarray:
    """Return by how much the last inner episode pays more than the first, [seeds]."""
    by_seed = np.array(curve["by_seed"])
    return by_seed[:, -1] - by_seed[:, 0]


@pytest.mark.slow
@pytest.mark.parametrize("preset", TRAINED)
def test_the_last_inner_episode_is_better_than_the_first_by_memory(preset: str, tmp_path: Path):
    run = tmp_path / "run"
    own = [f"--num-seeds={SEEDS}", "--eval-episodes=1024", f"--total-steps={TRAINED[preset]}"]
    assert main(["train", preset, *own, "--run-dir", str(run)]) == 0
    curves = json.loads((run / "evaluation.json").read_text())["adaptation"]

    gain = gains(curves["sampled"])
    assert len(gain) == SEEDS
    assert stats.ttest_1samp(gain, 0).confidence_interval(0.95).low > 0, gain
    wiped = gains(curves["memory wiped"])
    assert abs(wiped.mean()) < MOST_WITHOUT_MEMORY * gain.mean(), (gain, wiped)
