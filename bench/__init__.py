"""Measurements, one module each; they print what they measured."""
