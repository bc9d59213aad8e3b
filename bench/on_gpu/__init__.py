"""What is run first where there is a GPU for some minutes; each writes what it finds at once."""
