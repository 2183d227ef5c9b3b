"""How JAX is set up before anything is compiled."""

import os
from pathlib import Path


def enable_compilation_cache() -> None:
    """Keep compiled programs in the user's cache folder, so that a second start is quick.

    JAX's own variables come first: ``JAX_COMPILATION_CACHE_DIR`` moves the cache and
    ``JAX_ENABLE_COMPILATION_CACHE=false`` switches it off.
    """
    import jax

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        jax.config.update("jax_compilation_cache_dir", str(Path(base) / "ssmrl" / "jax"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
