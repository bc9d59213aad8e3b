"""What every folder uses: checks of arguments, printing, directions, finding overridden methods."""
