"""The sample job: triage of customers' messages."""
