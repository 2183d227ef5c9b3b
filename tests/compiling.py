"""How programs are compiled that run but once: as quickly as can be, not to be quick.

An update of a world model takes 35 seconds to compile as usual, with these options 6, and next to
none to run.
"""

from importlib.metadata import version

OPTIONS = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
if version("jaxlib").startswith("0.10."):  # 0.11 knows it no longer, and ends where it is given it
    OPTIONS["xla_cpu_use_fusion_emitters"] = False
FLAGS = " ".join(f"--{name}={str(value).lower()}" for name, value in OPTIONS.items())
