"""SMServer: sign-in, profiles, configuration, alarm log and audit trail, on port 5008."""
