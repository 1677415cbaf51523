"""The CLI: it checks definitions, starts and follows runs, and shows reports and logs."""
