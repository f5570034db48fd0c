"""Tests of the hardware with a person watching."""
