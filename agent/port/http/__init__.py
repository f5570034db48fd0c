"""HTTP: listeners, TLS, who may pass, and how requests become calls of handlers."""
