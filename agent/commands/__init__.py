"""The cloud's commands: polled, journalled, run one at a time, acknowledged; each exactly once, across crashes."""
