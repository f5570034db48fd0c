"""The machine that the hub runs on: its supply, its button and status LED, its card and what is written to it."""
