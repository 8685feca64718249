"""Alerts: rules over signals, states that survive restarts, messages that arrive."""
