"""The Worker: it runs one job at a time, and tells the Backend how that goes."""
