"""What somebody with a real board runs, and sends back: `make board-check`."""
