"""Who may say and see what: identity, certificates, tokens, sealed secrets, egress, and the HTTP client."""
