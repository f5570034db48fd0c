"""The support bundle: one file for those who help, without secrets."""
