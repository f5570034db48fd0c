"""Backups of a whole hub in one encrypted file, and their restoration on another machine."""
