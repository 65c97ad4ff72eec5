"""Receivers are told of results by message: HL7 version 2 over MLLP, FHIR over HTTP."""
