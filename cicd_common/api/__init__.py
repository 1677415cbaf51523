"""The messages between the CLI, the Backend and the Worker: `request` and `response`."""
