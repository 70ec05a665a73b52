"""How much one message of many requests may hold."""

#: Requests of one message.
ROWS_MAX = 10_000

#: Bytes of one message of many requests.
BYTES_MAX = 900_000
