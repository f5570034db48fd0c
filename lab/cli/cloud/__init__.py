"""`climahub cloud`: runs the reference cloud, and operates a running one through its admin API."""
