"""Who may do what by the web: users, passwords, tokens, sessions, and the guard that asks for them."""
