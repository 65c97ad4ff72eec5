"""Pages on which people look at results: pictures, findings, notes."""
