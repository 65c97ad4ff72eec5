"""What a series is: modality, region, plane, contrast, kernel, role."""
