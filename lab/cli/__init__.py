"""The commands of the laboratory: `climahub demo`, `simulate`, `cloud` and `ncp`."""
