"""Backends and Workers with one fault each, for which the kits are."""
