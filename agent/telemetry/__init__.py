"""From sensor to accepted: sampling, the outbox that survives a power cut, batching, the uplink."""
