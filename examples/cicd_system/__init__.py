"""A small CI/CD system around `cicd_common`: a Backend, a Worker and a CLI. See ``docs/how-to/integrating.md``."""
