"""lung-nodule: candidates in the lungs, and a small network that tells nodules from the rest."""
