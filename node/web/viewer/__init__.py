"""OHIF on a port of its own beside our pages: fetched when an administrator asks for it, read-only, guarded."""
