"""OpenID Connect: people log in at the hospital's identity provider, programs show its access tokens."""
