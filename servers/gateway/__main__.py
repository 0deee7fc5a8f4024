"""`python -m servers.gateway`: the gateway as a process of its own."""

from servers.gateway.command import app

if __name__ == "__main__":
    app()
