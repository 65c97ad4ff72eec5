"""The door for orders and patient updates: HL7 version 2 over MLLP."""
