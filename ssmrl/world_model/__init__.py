"""World models: what a window of experience is made of, foretold and imagined."""
