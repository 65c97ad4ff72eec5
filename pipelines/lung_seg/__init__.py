"""Lungs in a CT: right and left, with volume and density."""
