"""A pipeline whose model costs nothing, so that what is left of a turnaround is the node's own time."""
