"""How the project's own weights were made: one command each, seeds fixed."""
