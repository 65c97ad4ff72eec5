"""The DICOMweb origin server (PS3.18 sections 8 and 10): search and retrieval over spool and outbox."""
