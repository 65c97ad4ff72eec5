"""Out at the door: outbox, deliver, store, confirm."""
