"""`wetread up`: every role of one machine as a process, started, watched, restarted and stopped together."""
