"""A light world for policies: aggregated workers, virtual time. What it leaves out: docs/policies.md."""
