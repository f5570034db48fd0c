"""Server-sent events: every change of the documents, once."""
