"""Two volumes of one patient brought together: a rigid motion, and a field of displacements where bodies bend."""
