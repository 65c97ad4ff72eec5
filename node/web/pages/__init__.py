"""The status pages: where is my study, and what can be done about it? Made on the server; they work without script."""
