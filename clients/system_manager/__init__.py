"""System Manager: the desktop application with which a site is configured.

Its forms are made from the JSON Schema of the resources in `broker.model`: a field that is added there appears here.
"""
