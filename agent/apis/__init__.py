"""APIs that integrators know from elsewhere, answered by the hub itself: one face each over `agent.home`."""
