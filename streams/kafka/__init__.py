"""The log as a server: whether it answers at all (`reach`), which of its topics are still the same (`topic_ids`)."""
