"""Lets the tests here, and import paths given to envs.make, find tiny_env.py."""

import sys
from pathlib import Path

import numpy as np
import pytest
from gymnax.utils import load_mnist

sys.path.append(str(Path(__file__).parent))


@pytest.fixture
def mnist(monkeypatch):
    """Stand in for the pictures that gymnax's MNISTBandit-bsuite downloads when it is made."""
    pictures = np.zeros((64, 28, 28), np.uint8), np.zeros(64, np.int32)
    monkeypatch.setattr(load_mnist, "load_mnist", lambda: (pictures, None))
