"""Is a DICOMweb server one? What PS3.18 says it shall answer, asked of it from outside."""
