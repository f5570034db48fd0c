"""The only HTTP client of ClimaSense: wire models, quotas, errors. Rooms above never see HTTP."""
