"""The processes that listen on TCP."""
