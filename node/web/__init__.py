"""Pages and addresses for people and monitors."""
