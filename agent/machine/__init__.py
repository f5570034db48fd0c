"""The machine that the hub runs on: its supply by mains or battery."""
