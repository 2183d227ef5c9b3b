"""Resettable state-space memory and the reinforcement-learning maths around it, in JAX."""
