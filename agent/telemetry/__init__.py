"""From sensor to acceptance: sampling, the durable outbox, batching and the uplink."""
