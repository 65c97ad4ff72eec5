"""Translation, pure: what a report says as HL7 version 2 and as FHIR R4, and what orders say to us."""
