"""What the tables say compared with the log, round and round: custody, holds, bases, logins with roles; and the log itself."""
