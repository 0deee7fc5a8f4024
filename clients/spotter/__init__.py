"""Spotter, the operators' application: live and recorded pictures, alarms, snapshots and clips."""
