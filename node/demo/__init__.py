"""Studies that harm nobody: made here, marked as made, so that a first run needs no patient and no internet."""
