"""Fuzz everything that reads files with thousands of damaged and hostile files.

``python -m fuzz --seconds 60 --seed 0`` damages files of each kind and reads them in a child
process. A file may be read, or refused with an exception that the reader documents. Everything else
is a finding:

- another exception, or a message that does not name the file
- a result that breaks the reader's promises, such as a network that cannot predict
- more than a second of processor time, or more memory than 50 MB plus 20 times the file
- an import of a module that the file names, executed code, a started process, a file written
  elsewhere
- a crash of the process, or no answer for 20 seconds

A finding's file is kept, and ``python -m fuzz --repeat FILE`` reads it again. The same seed makes
the same files; a faster machine gets further in the given time. The package is not shipped.
"""
