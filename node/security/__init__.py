"""Who may come in, and how the line is secured."""
