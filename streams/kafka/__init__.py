"""The log as a server: whether it answers at all (`reach`), and which of its topics are still the same (`topic_ids`)."""
