"""The CLI: it checks definitions, starts runs, follows them, and shows reports and logs."""
