"""World models: what they keep of the past, how they learn it and how they act in it."""
