"""The only HTTP client of ClimaSense: wire models, quotas, errors. Components never see HTTP."""
