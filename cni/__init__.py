"""The CNI protocol without I/O: environment and bytes in; requests, results and errors out."""
