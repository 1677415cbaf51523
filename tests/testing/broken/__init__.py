"""Backends and Workers with one fault each, which the kits must find."""
