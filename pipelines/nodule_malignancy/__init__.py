"""nodule-malignancy: how radiologists would rate a nodule, beside what its diameter alone says."""
