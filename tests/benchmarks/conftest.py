"""Tables are tested with given ceilings: measuring them asks for a machine with nothing else on."""

import pytest

from benchmarks import report
from benchmarks.timing import DTYPES, Ceilings


@pytest.fixture(autouse=True)
def given_ceilings(monkeypatch):
    ceilings = Ceilings(copy=1e10, matmul=dict.fromkeys(DTYPES, 1e11), call=1e-6)
    monkeypatch.setattr(report, "measure_ceilings", lambda small: ceilings)
