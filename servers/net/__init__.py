"""The asyncio shells shared by all who dial or listen."""
