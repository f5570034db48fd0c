"""Webhooks of the local APIs: registered endpoints, and a durable queue of deliveries to them."""
