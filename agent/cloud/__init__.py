"""The client of ClimaSense: the only HTTP client, its quotas, messages and errors. Other packages never use HTTP."""
