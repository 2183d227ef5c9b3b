"""Encoders, action heads and the actor-critic that stands around a memory."""
