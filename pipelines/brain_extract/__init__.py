"""The brain in a T1-weighted head MR: its outline and its volume."""
