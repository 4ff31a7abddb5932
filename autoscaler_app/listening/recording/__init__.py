"""What work came when, written down for later: traces (docs/traces.md)."""
