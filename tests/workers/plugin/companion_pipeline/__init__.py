"""A pipeline that says what it was told beside the volume."""
