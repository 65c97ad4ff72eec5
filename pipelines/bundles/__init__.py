"""Any MONAI bundle as a pipeline: unpacked, pinned, scanned, and run in a process of its own."""
