"""What every room uses: checks of arguments, printing, directions, finding overridden methods."""
