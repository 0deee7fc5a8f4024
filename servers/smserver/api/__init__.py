"""SMServer's HTTP interface: one module per family of resources, each route with its policy."""
