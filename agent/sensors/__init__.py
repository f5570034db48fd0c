"""Right values of sensors: self-heating, calibration offsets, and doubts about sensors that may be wrong."""
