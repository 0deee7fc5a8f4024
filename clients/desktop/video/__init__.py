"""Pictures of cameras on the screen: received, decoded and scaled away from the GUI thread.

    media = Media()                                  # one for the application
    cell = VideoCell(media)
    cell.watch("Entrance", ticket_opener(ask, client, "camera-1"), has_sub=True)
    …
    cell.clear()
    media.close()

`media` receives on one asyncio thread and decodes on as many threads as there are cores; `strand` keeps the order of
one stream and leaves out what nobody would see; `live` connects and reconnects; `cell` is the widget.
"""
