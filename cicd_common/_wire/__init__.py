"""How JSON is read and written."""
