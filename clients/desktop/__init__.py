"""What the desktop applications share: appearance, signing in, pictures, and a session off the GUI thread.

Qt lives here and in the applications, nowhere else. Nothing here imports a server, Celery or a broker client.
"""
