"""What the output gate asks of each kind of object (node.dicom.output_gate)."""
