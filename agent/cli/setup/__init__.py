"""`climahub setup`: from an installed package to a hub whose first reading the cloud has accepted."""
