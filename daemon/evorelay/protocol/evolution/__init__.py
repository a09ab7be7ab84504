"""Evolution's REST API without IO: bodies to send, answers to read, what its errors mean."""
