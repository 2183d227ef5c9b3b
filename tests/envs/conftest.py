"""Lets the tests here, and import paths given to envs.make, find tiny_env.py."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
