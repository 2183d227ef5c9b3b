"""What the compiler is asked for."""

from ssmrl.train import chunk
from ssmrl.train.chunk import compiler_options


def test_options_of_an_agent_stand_beside_those_of_all_on_a_gpu(monkeypatch):
    own = {"xla_gpu_enable_triton_gemm": False}
    assert compiler_options(**own) is None  # a CPU's compiler knows none of them
    monkeypatch.setattr(chunk, "on_gpu", lambda: True)
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    assert compiler_options(**own) == compiler_options() | own
    assert compiler_options(one_graph=False).keys() < compiler_options().keys()
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_enable_triton_gemm=true")
    assert compiler_options(**own) == compiler_options()
