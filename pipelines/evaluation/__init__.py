"""How good a pipeline is, in figures that one command repeats."""
