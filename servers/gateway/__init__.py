"""GatewayServer: pages on port 9999 and their data on port 9000, for any browser."""
