"""The cloud's commands: polled, kept, run one at a time, acknowledged; exactly once whatever dies in between."""
