"""The mathematics of reinforcement learning as pure functions, time on axis 0."""
