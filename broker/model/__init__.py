"""The values everybody agrees on: resources, alarms, action settings and messages.

Pure pydantic: no I/O and no clock. A resource is defined once here and is the same class in messages,
in the HTTP API, in the database mapping and in the forms of System Manager.
"""
