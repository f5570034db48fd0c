"""Analyses recordings of an accelerometer, offline: finds the defect frequencies of a bearing. Needs numpy."""
