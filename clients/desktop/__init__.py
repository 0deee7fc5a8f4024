"""What the desktop applications share. Qt lives here and in the applications, nowhere else."""
