"""What can go wrong when a release is made."""


class ReleaseError(Exception):
    """Says what is wrong and what would mend it, in a sentence for the person at the keyboard."""
