"""Seventeen structures in a T1-weighted MR of the head, and the volume of each on either side."""
