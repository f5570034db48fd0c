"""What was true of this hub and when, and when the hub learnt it: a bitemporal store."""
