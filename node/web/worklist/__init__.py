"""UPS-RS: the worklist by HTTP and WebSocket (PS3.18 chapter 11)."""
