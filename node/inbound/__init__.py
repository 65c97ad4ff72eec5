"""In at the door: listen, receive, spool, assemble, match, enqueue."""
