"""The computation of one round: workers, the server, and their messages, without Ray and files."""
