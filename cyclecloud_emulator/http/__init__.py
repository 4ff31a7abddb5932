"""How does one speak with it? Sockets, sign-in, the REST API, the admin endpoint, and what they answer."""
