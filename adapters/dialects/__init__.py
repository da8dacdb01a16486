"""Wire formats, one file each: how a request, an answer and a stream look."""
